# SPDX-License-Identifier: Apache-2.0
"""Requests that another request overtakes: between reading the server and claiming it, or while its host answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action
from tests.support.api.compute_api import ComputeApi, act, message, settle

DELETED = "vm_state = 'deleted', task_state = NULL, deleted_at = '2026-01-01 00:00:00'"


@contextmanager
def overtaken(api: ComputeApi, change: str) -> Iterator[None]:
    """Another request changes all servers just before the first UPDATE of one."""
    changes = [f"UPDATE servers SET {change}"]

    def overtake(_conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if changes and statement.startswith("UPDATE servers"):
            cursor.execute(changes.pop())

    sa.event.listen(api.database.engine, "before_cursor_execute", overtake)
    try:
        yield
    finally:
        sa.event.remove(api.database.engine, "before_cursor_execute", overtake)
    assert not changes


def actions_of(api: ComputeApi, server_id: str) -> list[str]:
    with api.database.reader() as session:
        return list(session.scalars(sa.select(Action.name).where(Action.resource_id == server_id, Action.name != "create")))


@pytest.mark.parametrize("word", ["os-stop", "pause", "reboot", "forceDelete", "createImage"])
def test_an_action_on_a_server_that_was_deleted_meanwhile_is_not_found(api: ComputeApi, server_id: str, word: str) -> None:
    values = {"reboot": {"type": "SOFT"}, "createImage": {"name": "i"}}
    with overtaken(api, DELETED):
        answer = act(api, server_id, word, values.get(word))
    assert (answer.status, message(answer)) == (404, f"Instance {server_id} could not be found.")
    assert actions_of(api, server_id) == []


def test_a_delete_of_a_server_that_was_deleted_meanwhile_is_not_found(api: ComputeApi, server_id: str) -> None:
    with overtaken(api, DELETED):
        assert api.delete(f"/servers/{server_id}").status == 404


@pytest.mark.parametrize("interval", [0, 3600])
@pytest.mark.parametrize("change", [
    "task_state = 'powering-off'", "task_state = 'rebuilding'", "task_state = 'deleting'", "vm_state = 'error'",
    "vm_state = 'building'", "vm_state = 'soft-delete'"])
def test_a_delete_is_accepted_whichever_request_was_quicker(
    api: ComputeApi, server_id: str, change: str, interval: int
) -> None:
    api.conf.set_override("reclaim_instance_interval", interval, group="compute")
    settle(api, server_id, launched_at=utcnow())
    with overtaken(api, change):
        assert api.delete(f"/servers/{server_id}").status == 204


def test_a_soft_delete_that_another_one_overtook_does_nothing_more(api: ComputeApi, server_id: str) -> None:
    api.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    settle(api, server_id, launched_at=utcnow())
    with overtaken(api, "vm_state = 'soft-delete'"):
        assert api.delete(f"/servers/{server_id}").status == 204
    assert actions_of(api, server_id) == []


@pytest.mark.parametrize(("columns", "status"), [
    ({"deleted_at": sa.func.current_timestamp()}, 404), ({"task_state": "deleting"}, 409), ({"agent": None}, 409), ({}, 500)])
@pytest.mark.parametrize("call", ["console_output", "diagnostics"])
def test_a_read_of_a_guest_that_leaves_its_host_meanwhile_is_not_found_or_a_conflict(
    api: ComputeApi, server_id: str, call: str, columns: dict[str, Any], status: int
) -> None:
    def go() -> None:
        settle(api, server_id, **columns)
        raise errors.HypervisorFailed(host="h1", action="read the console", reason="the server is not on this host")

    api.rpc.answers[call] = go
    answer = (act(api, server_id, "os-getConsoleOutput", {}) if call == "console_output"
              else api.get(f"/servers/{server_id}/diagnostics", user="admin"))
    assert answer.status == status
