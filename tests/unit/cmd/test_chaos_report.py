# SPDX-License-Identifier: Apache-2.0
"""tools/chaos: what its arguments draw, and its table and exit status say."""

from __future__ import annotations

import itertools

import pytest

from tools.lib.chaos import main as chaos
from tools.lib.chaos.faults import FAULTS
from tools.lib.chaos.load import Load, Operation, Read
from tools.lib.chaos.run import Result, _result


def result(*, fault: str = "broker-restart", failed: str = "", reads: tuple[bool, ...] = (True, True), recovered_s: float | None = 2.0) -> Result:
    load = Load.__new__(Load)
    load.operations = [Operation("create", "s1", 1.5), Operation("os-stop", "s1", 0.5, failed)]
    load.reads = [Read(float(at), 0.1, is_good) for at, is_good in enumerate(reads)]
    load.refused = 1
    return _result(FAULTS[fault], "1-0", load, recovered_s, [], [], healed_at=0.0)


def drawn(seed: int) -> list[str]:
    args = chaos._arguments(["--seed", str(seed), "--seconds", "3600"])
    return [one.name for one in itertools.islice(chaos._drawn(args), 8)]


def test_a_seed_draws_the_same_faults_again() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_named_faults_come_once_in_their_order() -> None:
    args = chaos._arguments(["--fault", "kills", "--fault", "broker-hung"])
    assert [one.name for one in chaos._drawn(args)] == ["kills", "broker-hung"]


def test_a_fault_of_the_other_shape_is_refused() -> None:
    with pytest.raises(SystemExit):
        chaos._arguments(["--fault", "up-kills"])


def test_what_was_accepted_and_failed_is_a_broken_promise() -> None:
    assert result().verdict == "pass"
    broken = result(failed="it is ERROR")
    assert (broken.verdict, broken.accepted, broken.accepted_failed) == ("fail", 2, 1)
    assert "os-stop of s1" in broken.wrong[0]


def test_creates_may_fail_while_the_only_worker_is_down() -> None:
    assert result(fault="network-hung", failed="nova-network on fake is down").accepted_failed == 1, "a stop waits"
    load = Load.__new__(Load)
    load.operations, load.reads, load.refused = [Operation("create", "s1", 1.5, "nova-network on fake is down")], [], 0
    found = _result(FAULTS["network-hung"], "1-0", load, 1.0, [], [], healed_at=0.0)
    assert (found.verdict, found.refused) == ("pass", 1)
    assert _result(FAULTS["broker-hung"], "1-0", load, 1.0, [], [], healed_at=0.0).verdict == "fail"


def test_reads_fail_only_where_the_fault_cuts_them() -> None:
    assert result(reads=(True, False, True)).wrong == ["1 reads failed"]
    assert result(fault="database-killed", reads=(True, False, True)).wrong == []


@pytest.mark.parametrize("recovered_s", [None, 20.0])
def test_a_cloud_that_does_not_recover_soon_is_a_broken_promise(recovered_s: float | None) -> None:
    assert result(recovered_s=recovered_s).verdict == "fail"


def test_the_table_has_a_row_for_each_fault() -> None:
    header, row = chaos.table([result()]).splitlines()
    assert header.split()[0] == "fault"
    assert row.split() == ["broker-restart", "1", "0/2", "1.0", "s", "0/2", "1", "1.5", "s", "2.0", "s", "pass"]


def test_the_list_has_every_fault_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert chaos.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FAULTS)
    assert all(one.summary for one in FAULTS.values())
