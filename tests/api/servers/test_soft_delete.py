# SPDX-License-Identifier: Apache-2.0
"""Soft delete as requests: what is kept, who sees it, how it comes back or goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.lifecycle.servers import ACTIONS, TASKS_OF
from tests.support.api import compute_api
from tests.support.api.compute_api import Answer, ComputeApi, boot, settle


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path))
    api.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    return api


@pytest.fixture
def server_id(api: ComputeApi) -> str:
    new_id = boot(api)
    settle(api, new_id, launched_at=utcnow())
    api.rpc.sent.clear()
    return new_id


def act(api: ComputeApi, server_id: str, word: str, value: Any = None, **more: Any) -> Answer:
    return api.post(f"/servers/{server_id}/action", {word: value}, **more)


def soft_deleted(api: ComputeApi, server_id: str) -> None:
    assert api.delete(f"/servers/{server_id}").status == 204
    settle(api, server_id, vm_state="soft-delete", power_state=4)
    api.rpc.sent.clear()


def listed(api: ComputeApi, query: str = "", **more: Any) -> list[str]:
    return [server["id"] for server in api.get(f"/servers{query}", **more).body["servers"]]


def test_a_soft_delete_powers_the_server_off_and_keeps_it(api: ComputeApi, server_id: str) -> None:
    assert api.delete(f"/servers/{server_id}").status == 204
    topic, host, method, arguments = api.rpc.sent[0]
    assert (topic, host, method, arguments["server_id"]) == ("compute", "h1", "soft_delete", server_id)
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] == "soft-deleting"
    assert api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"][0]["action"] == "delete"


@pytest.mark.parametrize(("vm_state", "method"), [
    ("active", "soft_delete"), ("paused", "soft_delete"), ("suspended", "soft_delete"), ("stopped", "soft_delete"),
    ("rescued", "soft_delete"), ("resized", "soft_delete"), ("shelved", "soft_delete"), ("error", "soft_delete"),
    ("building", "run"),
])
def test_a_server_on_a_host_is_soft_deleted_in_every_state_but_building(api: ComputeApi, server_id: str, vm_state: str, method: str) -> None:
    settle(api, server_id, vm_state=vm_state)
    assert api.delete(f"/servers/{server_id}").status == 204
    assert [sent[2] for sent in api.rpc.sent] == [method]


def test_an_offloaded_server_is_soft_deleted_and_restored_as_offloaded(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="shelved_offloaded", host=None, agent=None)
    assert api.delete(f"/servers/{server_id}").status == 204
    assert [sent[:3] for sent in api.rpc.sent] == [("conductor", "", "run")]
    settle(api, server_id, vm_state="soft-delete", host=None, agent=None)
    api.rpc.sent.clear()
    assert act(api, server_id, "restore").status == 202
    assert [sent[:3] for sent in api.rpc.sent] == [("conductor", "", "run")]


WORKING = sorted({task for name, row in ACTIONS.items() if row.task and not row.on_host and name not in ("create", "delete")
                  for task in TASKS_OF.get(name, (row.task,))} | {"restoring"})


@pytest.mark.parametrize("task", WORKING)
def test_a_soft_delete_during_a_workflow_is_deferred(api: ComputeApi, server_id: str, task: str) -> None:
    settle(api, server_id, task_state=task, vm_state="soft-delete" if task == "restoring" else "active")
    assert api.delete(f"/servers/{server_id}").status == 204
    assert api.delete(f"/servers/{server_id}").status == 204
    assert api.rpc.sent == []
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] == task
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert [action["action"] for action in journal] == ["delete", "create"]


def test_a_forced_delete_is_not_deferred(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, task_state="rebuilding")
    assert act(api, server_id, "forceDelete").status == 202
    assert api.rpc.sent[0][:3] == ("conductor", "", "run")


def test_a_reset_of_the_state_ends_the_workflow_and_not_the_deferred_delete(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, task_state="rebuilding")
    rebuild = api.change(lambda session: actions.add(
        session, server_id=server_id, name="rebuild", request_id="req-b", user_id="u", project_id="p").id)
    assert api.delete(f"/servers/{server_id}").status == 204
    assert act(api, server_id, "os-resetState", {"state": "active"}, user="admin").status == 202
    assert api.change(lambda session: actions.outcome(session, rebuild)[0]) == actions.CANCELLED
    assert api.change(lambda session: actions.is_waiting(session, server_id))


def test_no_delete_of_a_locked_server_is_deferred(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, task_state="rebuilding")
    act(api, server_id, "lock", user="admin")
    assert api.delete(f"/servers/{server_id}").status == 409


def test_a_second_delete_changes_nothing(api: ComputeApi, server_id: str) -> None:
    soft_deleted(api, server_id)
    assert api.delete(f"/servers/{server_id}").status == 204
    assert api.rpc.sent == []
    assert api.get(f"/servers/{server_id}").body["server"]["status"] == "SOFT_DELETED"


def test_a_server_that_never_ran_is_deleted_for_good(api: ComputeApi) -> None:
    new_id = boot(api)
    api.rpc.sent.clear()
    assert api.delete(f"/servers/{new_id}").status == 204
    assert api.rpc.sent[0][:3] == ("conductor", "", "run")


def test_a_soft_delete_ends_open_actions(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "pause").status == 202
    assert api.delete(f"/servers/{server_id}").status == 204
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert (journal[1]["action"], journal[1]["message"]) == ("pause", "The server was deleted.")


def test_a_delete_without_the_interval_is_for_good(api: ComputeApi, server_id: str) -> None:
    api.conf.clear_override("reclaim_instance_interval", group="compute")
    assert api.delete(f"/servers/{server_id}").status == 204
    assert api.rpc.sent[0][:3] == ("conductor", "", "run")


def test_lists_show_soft_deleted_servers_only_with_the_filter(api: ComputeApi, server_id: str) -> None:
    soft_deleted(api, server_id)
    assert listed(api) == []
    assert listed(api, "?status=SOFT_DELETED") == [server_id]
    assert listed(api, "?deleted=true&all_tenants=1", user="admin") == [server_id]
    assert listed(api, "?soft_deleted=true&all_tenants=1", user="admin") == [server_id]


def test_a_restore_is_cast_to_the_host(api: ComputeApi, server_id: str) -> None:
    soft_deleted(api, server_id)
    assert act(api, server_id, "restore").status == 202
    assert api.rpc.sent[0][:3] == ("compute", "h1", "restore")
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] == "restoring"


def test_a_restore_of_a_server_that_is_not_deleted_is_refused(api: ComputeApi, server_id: str) -> None:
    refused = act(api, server_id, "restore")
    assert refused.status == 409
    assert "Cannot 'restore'" in refused.body["conflictingRequest"]["message"]


def test_a_soft_deleted_server_counts_against_the_quota_only_once_restored(api: ComputeApi, server_id: str) -> None:
    api.conf.set_override("instances", 1, group="quota")
    soft_deleted(api, server_id)
    assert boot(api)
    refused = act(api, server_id, "restore")
    assert refused.status == 403
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] is None


def test_a_forced_delete_is_for_good(api: ComputeApi, server_id: str) -> None:
    soft_deleted(api, server_id)
    assert act(api, server_id, "forceDelete").status == 202
    assert api.rpc.sent[0][:3] == ("conductor", "", "run")


@pytest.mark.parametrize("word", ["restore", "forceDelete"])
def test_delete_and_restore_of_a_locked_server_are_refused(api: ComputeApi, server_id: str, word: str) -> None:
    soft_deleted(api, server_id)
    act(api, server_id, "lock", user="admin")
    assert act(api, server_id, word).status == 409
    assert api.delete(f"/servers/{server_id}").status == 409
