# SPDX-License-Identifier: Apache-2.0
"""tools/chaos: a part is broken under load, and the cloud is whole afterwards; what is wrong is seen."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tools.lib.chaos.clouds import SeparateDaemons
from tools.lib.chaos.faults import FAULTS
from tools.lib.chaos.main import table
from tools.lib.chaos.run import Runs

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeparateDaemons]:
    made = SeparateDaemons(tmp_path_factory.mktemp("chaos") / "cloud")
    made.start()
    yield made
    made.purge()


def test_a_killed_conductor_costs_nothing(target: SeparateDaemons) -> None:
    result = Runs(target).run(FAULTS["conductor-killed"], seed="1")
    assert result.wrong == []
    assert result.accepted
    assert result.reads
    assert "conductor-killed" in table([result])


def test_the_audit_sees_what_is_wrong_with_a_host(target: SeparateDaemons) -> None:
    target.cloud.database.sql("UPDATE hosts SET ram_mb_claimed = ram_mb_claimed + 512", database="nova")
    found = target.audit()
    assert {one["kind"] for one in found} == {"claim_sums"}
    assert target.audit("--repair") == [{**one, "result": "repaired"} for one in found]
    assert target.audit() == []
