# SPDX-License-Identifier: Apache-2.0
"""`nova-lite audit`: what it prints, what it waits for, and its exit status."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.cmd.lite import admin_api, audit, main
from tools.lib.services import free_port

SUMS = {"kind": "claim_sums", "resource": "node1", "host": "node1", "problem": "its row has 9 ram_mb", "repair": "claims_audit", "is_repairable": True}
LOST = {"kind": "guest_missing", "resource": "s1", "host": "node2", "problem": "it is not there", "repair": "restore it", "is_repairable": False}


class Api:
    """Answers with the next of these findings; the last one stays. `omitted`: what each look has found more, by kind."""

    def __init__(self, *looks: list[dict[str, Any]], omitted: tuple[dict[str, int], ...] = ()) -> None:
        self._looks, self.repairs = list(itertools.zip_longest(looks, omitted, fillvalue={})), 0

    def request(self, method: str, path: str) -> Any:
        if method == "POST":
            assert path == "/os-audit/repair"
            self.repairs += 1
            return None
        assert path == "/os-audit?settled=60"
        findings, omitted = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return {"findings": findings, "omitted": [{"kind": kind, "count": count} for kind, count in omitted.items()]}


def nova_lite(monkeypatch: pytest.MonkeyPatch, api: Api, *arguments: str) -> int:
    monkeypatch.setattr(audit, "AdminApi", lambda conf, *, cloud: api)
    clock: Iterator[float] = iter(range(10_000))
    monkeypatch.setattr(audit.time, "monotonic", lambda: next(clock))
    return main.execute(["audit", *arguments])


def test_nothing_found_is_status_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert nova_lite(monkeypatch, Api([])) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_a_finding_is_status_1_and_a_row_of_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert nova_lite(monkeypatch, Api([SUMS, LOST])) == 1
    _, _, sums, lost, totals = capsys.readouterr().out.splitlines()
    assert sums.split() == ["found", "claim_sums", "node1", "node1", "its", "row", "has", "9", "ram_mb", "claims_audit"]
    assert "by hand: restore it" in lost
    assert totals == "2 found"


def test_json_has_all_of_each_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert nova_lite(monkeypatch, Api([SUMS]), "-f", "json") == 1
    assert json.loads(capsys.readouterr().out) == {"findings": [{"result": "found", **SUMS}], "omitted": []}


def test_how_many_more_there_are_of_a_kind_is_said_and_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert nova_lite(monkeypatch, Api([LOST], omitted=({"guest_missing": 99_999},))) == 1
    *_, more, totals = capsys.readouterr().out.splitlines()
    assert more.split() == ["found", "guest_missing", "99999", "more,", "not", "listed"]
    assert totals == "100000 found"


def repair(api: Any) -> audit.Report:
    clock = iter(range(10_000))
    return audit.repair(api, audit.look(api, settled_s=60), settled_s=60, monotonic=lambda: next(clock), wait=lambda seconds: None)


def repaired(api: Api) -> dict[str, str]:
    return {one["kind"]: one["result"] for one in repair(api).findings}


def counts(api: Api) -> dict[str, int]:
    """By result, of those that are not listed."""
    return {one["result"]: one["count"] for one in repair(api).omitted}


def test_those_that_are_not_listed_are_repaired_too() -> None:
    assert counts(Api([SUMS], [], omitted=({"claim_sums": 99},))) == {"repaired": 99}


def test_one_that_is_not_listed_any_more_is_not_repaired_while_others_are_not_listed() -> None:
    other = {**SUMS, "resource": "node2", "host": "node2"}
    api = Api([SUMS], [other], omitted=({"claim_sums": 99}, {"claim_sums": 39}))
    report = repair(api)
    assert [(one["resource"], one["result"]) for one in report.findings] == [("node2", "found")]
    assert {one["result"]: one["count"] for one in report.omitted} == {"remains": 39, "repaired": 60}


def test_repair_waits_until_what_can_be_is_repaired() -> None:
    api = Api([SUMS, LOST], [SUMS, LOST], [LOST])
    assert repaired(api) == {"claim_sums": "repaired", "guest_missing": "remains"}
    assert api.repairs == 1


def test_what_does_not_go_within_a_minute_remains() -> None:
    assert repaired(Api([SUMS])) == {"claim_sums": "remains"}


def test_what_has_come_since_is_shown_too() -> None:
    assert repaired(Api([SUMS], [LOST])) == {"claim_sums": "repaired", "guest_missing": "found"}


def test_what_nobody_repairs_costs_no_request() -> None:
    api = Api([LOST])
    assert repaired(api) == {"guest_missing": "remains"}
    assert api.repairs == 0


def test_all_repaired_is_status_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert nova_lite(monkeypatch, Api([SUMS], []), "--repair") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 repaired"


def test_a_cloud_without_a_password_is_one_line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("OS_PASSWORD", "OS_AUTH_URL", "OS_CLOUD"):
        monkeypatch.delenv(name, raising=False)
    assert main.execute(["audit", "--state", str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "--state DIR" in line
    assert "set the OS_ variables of an admin" in line


def test_a_cloud_that_is_stopped_is_one_line_with_how_to_start_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("OS_PASSWORD", "OS_AUTH_URL", "OS_CLOUD"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "admin-password").write_text("secret")
    assert main.execute(["audit", "--state", str(tmp_path), "--port", str(free_port())]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "does not answer: Connection refused" in line
    assert f"nova-lite up --background --state {tmp_path}" in line
    assert "nova-lite doctor" in line


def test_the_endpoint_is_that_of_the_region() -> None:
    catalog = [{"type": "compute", "endpoints": [
        {"interface": "public", "region_id": region, "url": f"http://{region}/v2.1/"} for region in ("one", "two")]}]
    assert admin_api._public_url(catalog, "compute", region="two") == "http://two/v2.1"
    assert admin_api._public_url(catalog, "compute", region=None) == "http://one/v2.1"


HOSTILE = "\x1b]0;title\x07\x1b[2J\n\u202e\x9bm\ud800 end"


def shows_plainly(text: str) -> bool:
    """Whether a terminal shows it, and carries out nothing."""
    return all(letter.isprintable() for line in text.splitlines() for letter in line) and "\\x1b[2J" in text


def test_names_and_reasons_do_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {name: HOSTILE if isinstance(value, str) else value for name, value in LOST.items()}
    assert nova_lite(monkeypatch, Api([hostile], omitted=({HOSTILE: 3},))) == 1
    assert shows_plainly(capsys.readouterr().out)


def test_the_reason_of_a_refusal_does_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(conf: Any, *, cloud: str | None) -> Any:
        raise errors.Forbidden(reason=HOSTILE)

    monkeypatch.setattr(audit, "AdminApi", refused)
    assert main.execute(["audit"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert shows_plainly(line)
