# SPDX-License-Identifier: Apache-2.0
"""What is done to a server and what hangs on it, as requests: power, locks, console, metadata, tags, NICs, journal."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action, ActionEvent
from nova_lite.db.network.security_groups import SecurityGroup, SecurityGroupRule
from tests.support.api.compute_api import NETWORK, Answer, ComputeApi, act, message, settle
from tests.support.api.users import PROJECTS

POWER = [
    ("os-start", None, "stopped", "start", "powering-on"), ("os-stop", None, "active", "stop", "powering-off"),
    ("reboot", {"type": "SOFT"}, "active", "reboot", "rebooting"), ("pause", None, "active", "pause", "pausing"),
    ("reboot", {"type": "HARD"}, "stopped", "reboot", "rebooting_hard"),
    ("unpause", None, "paused", "unpause", "unpausing"), ("suspend", None, "active", "suspend", "suspending"),
    ("resume", None, "suspended", "resume", "resuming"),
]


@pytest.mark.parametrize(("word", "value", "state", "method", "task"), POWER)
def test_a_power_action_claims_the_server_and_casts_to_its_worker(
    api: ComputeApi, server_id: str, word: str, value: Any, state: str, method: str, task: str
) -> None:
    settle(api, server_id, vm_state=state)
    assert act(api, server_id, word, value).status == 202
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] == task
    topic, host, sent, arguments = api.rpc.sent[0]
    assert (topic, host, sent, arguments["server_id"]) == ("compute", "h1", method, server_id)
    assert arguments.get("reboot_type") == (value or {}).get("type")
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert journal[0]["action"] == method


@pytest.mark.parametrize(("word", "value", "state", "method", "task"), POWER)
def test_a_power_action_is_refused_in_the_wrong_state_and_while_another_runs(
    api: ComputeApi, server_id: str, word: str, value: Any, state: str, method: str, task: str
) -> None:
    settle(api, server_id, vm_state="building")
    refused = act(api, server_id, word, value)
    assert (refused.status, f"Cannot '{method}'" in message(refused), "vm_state building" in message(refused)) == (
        409, True, True)
    settle(api, server_id, vm_state=state, task_state="rescuing")
    refused = act(api, server_id, word, value)
    assert (refused.status, "task_state rescuing" in message(refused), api.rpc.sent) == (409, True, [])


# Nova's list of tasks that a hard reboot may overtake, written down here once more.
@pytest.mark.parametrize(("state", "task", "begun"), [
    ("active", "rebooting", ("reboot", {"type": "SOFT"})), ("active", "rebooting_hard", ("reboot", {"type": "HARD"})),
    ("active", "pausing", ("pause", None)), ("active", "suspending", ("suspend", None)),
    ("paused", "unpausing", ("unpause", None)), ("suspended", "resuming", ("resume", None)),
])
def test_a_hard_reboot_replaces_an_action_that_hangs(
    api: ComputeApi, server_id: str, state: str, task: str, begun: tuple[str, Any]
) -> None:
    settle(api, server_id, vm_state=state)
    assert act(api, server_id, *begun).status == 202
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] == task
    assert act(api, server_id, "reboot", {"type": "SOFT"}).status == 409
    assert act(api, server_id, "reboot", {"type": "HARD"}).status == 202
    server = api.get(f"/servers/{server_id}").body["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("HARD_REBOOT", "rebooting_hard")
    newest, overtaken, *_ = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert (newest["action"], newest["message"]) == ("reboot", None)
    assert overtaken["message"] == "A hard reboot replaced it."


@pytest.mark.parametrize("task", ["powering-off", "powering-on", "updating_password", "deleting", "image_uploading", "resize_prep"])
def test_a_hard_reboot_is_refused_during_any_other_action(api: ComputeApi, server_id: str, task: str) -> None:
    settle(api, server_id, vm_state="active", task_state=task)
    assert (act(api, server_id, "reboot", {"type": "HARD"}).status, api.rpc.sent) == (409, [])


@pytest.mark.parametrize(("word", "value"), [("os-stop", None), ("reboot", {"type": "HARD"}), ("changePassword", {"adminPass": "x"})])
def test_other_actions_are_refused_while_a_password_is_set(
    api: ComputeApi, server_id: str, word: str, value: Any
) -> None:
    settle(api, server_id, vm_state="active", task_state="updating_password")
    refused = act(api, server_id, word, value)
    assert (refused.status, "task_state updating_password" in message(refused)) == (409, True)
    assert api.delete(f"/servers/{server_id}").status == 204
    assert [sent[2] for sent in api.rpc.sent] == ["run"]


def test_an_action_on_a_server_without_a_host_is_refused_with_the_reason(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="error", host=None, agent=None)
    refused = act(api, server_id, "os-stop")
    assert (refused.status, "it is on no host" in message(refused)) == (409, True)
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] is None


@pytest.mark.parametrize("body", [
    {}, {"jump": None}, {"reboot": {}}, {"reboot": {"type": "WARM"}}, {"os-start": None, "extra": 1},
    {"reboot": {"type": "HARD", "why": "x"}},
])
def test_a_wrong_action_is_refused(api: ComputeApi, server_id: str, body: dict[str, Any]) -> None:
    assert api.post(f"/servers/{server_id}/action", body).status == 400


def test_only_admins_act_on_a_locked_server(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "lock").status == 202
    assert api.get(f"/servers/{server_id}", version="2.9").body["server"]["locked"] is True
    path = f"/servers/{server_id}"
    refused = [act(api, server_id, "os-stop"), api.delete(path), act(api, server_id, "forceDelete"),
               api.post(f"{path}/metadata", {"metadata": {"a": "b"}}), api.put(f"{path}/tags/a", None, version="2.26")]
    assert {(answer.status, message(answer)) for answer in refused} == {(409, f"Instance {server_id} is locked")}
    assert act(api, server_id, "os-stop", user="admin").status == 202
    settle(api, server_id)
    assert act(api, server_id, "unlock").status == 202
    assert act(api, server_id, "os-stop").status == 202


def test_only_an_admin_removes_an_admins_lock(api: ComputeApi, server_id: str) -> None:
    act(api, server_id, "lock", {"locked_reason": "evidence"}, user="admin", version="2.73")
    assert act(api, server_id, "lock").status == 202
    assert act(api, server_id, "unlock").status == 403
    server = api.get(f"/servers/{server_id}", version="2.73").body["server"]
    assert (server["locked"], server["locked_reason"]) == (True, "evidence")
    assert act(api, server_id, "unlock", user="admin").status == 202
    assert api.get(f"/servers/{server_id}", version="2.73").body["server"]["locked_reason"] is None


@pytest.mark.parametrize(("value", "version", "status"), [
    ({"locked_reason": "x"}, "2.72", 202), ({"locked_reason": ""}, "2.73", 400), ({"reason": "x"}, "2.73", 400),
    ({}, "2.73", 400), ("x", "2.73", 400), (None, "2.73", 202),
])
def test_a_lock_may_have_a_reason_from_2_73_on(
    api: ComputeApi, server_id: str, value: Any, version: str, status: int
) -> None:
    assert act(api, server_id, "lock", value, version=version).status == status


def test_the_console_output_is_read_from_the_worker(api: ComputeApi, server_id: str) -> None:
    for given, lines in (({}, None), ({"length": -1}, None), ({"length": 10}, 10), ({"length": "7"}, 7), ({"length": None}, None)):
        answer = act(api, server_id, "os-getConsoleOutput", given)
        assert (answer.status, answer.body) == (200, {"output": "console text"})
        assert api.rpc.sent.pop()[3] == {"server_id": server_id, "length": lines}
    assert act(api, server_id, "os-getConsoleOutput", {"length": "x"}).status == 400
    settle(api, server_id, agent=None)
    assert act(api, server_id, "os-getConsoleOutput", {}).status == 409


@pytest.mark.parametrize(("call", "action", "body"), [
    ("console_output", "os-getConsoleOutput", {}), ("open_console", "os-getVNCConsole", {"type": "novnc"}),
    ("change_password", "changePassword", {"adminPass": "secret"})])
def test_a_worker_of_an_earlier_release_is_named_in_a_503(
    api: ComputeApi, server_id: str, call: str, action: str, body: dict[str, Any]
) -> None:
    api.rpc.answers[call] = errors.TooOld(service="nova-compute", host="h1", method=call)
    answer = act(api, server_id, action, body)
    assert answer.status == 503
    assert answer.body["serviceUnavailable"]["message"] == (
        f"nova-compute on h1 is of an earlier release and does not know {call}: it is to be upgraded")


def test_an_admin_resets_the_state(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "os-resetState", {"state": "error"}).status == 403
    settle(api, server_id, task_state="pausing")
    assert act(api, server_id, "os-resetState", {"state": "error"}, user="admin").status == 202
    server = api.get(f"/servers/{server_id}").body["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("ERROR", None)
    assert act(api, server_id, "os-resetState", {"state": "gone"}, user="admin").status == 400
    assert [action["action"] for action in api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]].count("resetState") == 1


def test_metadata_is_read_and_written(api: ComputeApi, server_id: str) -> None:
    path = f"/servers/{server_id}/metadata"
    assert api.post(path, {"metadata": {"a": "1", "b": "2"}}).body == {"metadata": {"a": "1", "b": "2"}}
    assert api.post(path, {"metadata": {"b": "3"}}).body == {"metadata": {"a": "1", "b": "3"}}
    assert api.put(f"{path}/a", {"meta": {"a": "4"}}).body == {"meta": {"a": "4"}}
    assert api.get(f"{path}/a").body == {"meta": {"a": "4"}}
    assert api.delete(f"{path}/b").status == 204
    assert api.get(path).body == {"metadata": {"a": "4"}}
    assert api.put(path, {"metadata": {"z": "9"}}).body == {"metadata": {"z": "9"}}
    assert [api.get(f"{path}/a").status, api.delete(f"{path}/a").status] == [404, 404]
    assert api.get(f"/servers/{server_id}").body["server"]["metadata"] == {"z": "9"}


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("POST", "", {"metadata": {"a": 1}}, 400), ("POST", "", {"metadata": {"": "x"}}, 400), ("POST", "", {}, 400),
    ("PUT", "/a", {"meta": {"b": "x"}}, 400), ("PUT", "/a", {"meta": {"a": "x", "b": "y"}}, 400),
    ("POST", "", {"metadata": {f"k{number}": "v" for number in range(129)}}, 403),
    ("POST", "", {"metadata": {"a": "x" * 256}}, 400), ("PUT", "/a", {"meta": {}}, 400),
])
def test_wrong_metadata_is_refused(
    api: ComputeApi, server_id: str, method: str, path: str, body: dict[str, Any], status: int
) -> None:
    assert api.request(method, f"/servers/{server_id}/metadata{path}", body).status == status
    assert api.get(f"/servers/{server_id}/metadata").body == {"metadata": {}}


def test_metadata_of_a_server_in_build_cannot_be_changed(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="building")
    assert api.post(f"/servers/{server_id}/metadata", {"metadata": {"a": "1"}}).status == 409


def test_tags_are_a_set(api: ComputeApi, server_id: str) -> None:
    def request(method: str, path: str = "", body: Any = None) -> Answer:
        return api.request(method, f"/servers/{server_id}/tags{path}", body, version="2.26")

    assert request("PUT", body={"tags": ["a", "a", "b"]}).body == {"tags": ["a", "b"]}
    assert [request("PUT", "/c").status, request("PUT", "/c").status, request("GET", "/c").status] == [201, 204, 204]
    assert [request("DELETE", "/a").status, request("DELETE", "/a").status, request("GET", "/a").status] == [204, 404, 404]
    assert request("GET").body == {"tags": ["b", "c"]}
    assert [request("PUT", "/x,y").status, request("PUT", "/" + "x" * 61).status] == [400, 400]
    assert request("PUT", body={"tags": ["x/y"]}).status == 400
    for escaped, tag in (("x%2Fy", "x/y"), ("x%2F", "x/")):
        refused = request("PUT", f"/{escaped}")
        assert (refused.status, f"'{tag}'" in message(refused)) == (400, True)
    added = request("PUT", "/x%252F%E2%98%83")
    assert (added.status, added.headers["Location"].rpartition("/tags/")[2]) == (201, "x%252F%E2%98%83")
    assert request("GET").body == {"tags": ["b", "c", "x%2F☃"]}
    assert [request("DELETE", f"/{escaped}").status for escaped in ("x%2F%E2%98%83", "x%252F%E2%98%83")] == [404, 204]
    assert request("PUT", body={"tags": [f"t{number}" for number in range(51)]}).status == 400
    assert request("DELETE").status == 204
    assert request("GET").body == {"tags": []}
    assert api.get(f"/servers/{server_id}/tags", version="2.25").status == 404


def test_addresses_and_nics_are_shown(api: ComputeApi, server_id: str) -> None:
    by_network = api.get(f"/servers/{server_id}/ips").body["addresses"]
    assert [set(address) for address in by_network["net"]] == [{"version", "addr"}]
    assert api.get(f"/servers/{server_id}/ips/net").body == by_network
    assert api.get(f"/servers/{server_id}/ips/other").status == 404
    nic = api.get(f"/servers/{server_id}/os-interface").body["interfaceAttachments"][0]
    assert (nic["net_id"], nic["fixed_ips"][0]["ip_address"]) == (NETWORK, by_network["net"][0]["addr"])
    assert set(nic) == {"port_id", "net_id", "mac_addr", "port_state", "fixed_ips"}
    one = api.get(f"/servers/{server_id}/os-interface/{nic['port_id']}", version="2.70").body["interfaceAttachment"]
    assert one == {**nic, "tag": None}
    assert api.get(f"/servers/{server_id}/os-interface/nope").status == 404


def test_security_groups_are_shown_with_their_incoming_rules(api: ComputeApi, server_id: str) -> None:
    with api.database.reader() as session:
        group = session.scalars(sa.select(SecurityGroup)).one()
    api.add(SecurityGroupRule(group_id=group.id, project_id=PROJECTS["alice"], direction="ingress", protocol="tcp",
                              port_min=22, port_max=22, remote_cidr="10.0.0.0/8"))
    body = api.get(f"/servers/{server_id}/os-security-groups").body["security_groups"][0]
    assert (body["name"], body["tenant_id"]) == ("default", PROJECTS["alice"])
    rules = {rule["ip_protocol"]: rule for rule in body["rules"]}
    assert rules[None]["group"] == {"name": "default", "tenant_id": PROJECTS["alice"]}
    assert (rules["tcp"]["from_port"], rules["tcp"]["to_port"], rules["tcp"]["ip_range"], rules["tcp"]["group"]) == (
        22, 22, {"cidr": "10.0.0.0/8"}, {})


def journal(api: ComputeApi, server_id: str) -> tuple[str, str]:
    """Path and request id of the create action, given one event on h1."""
    with api.database.reader() as session:
        action = session.scalars(sa.select(Action).where(Action.resource_id == server_id)).first()
    assert action is not None
    api.add(ActionEvent(action_id=action.id, name="pick_host", host="h1", result="Error", details="h1: full",
                        finish_time=action.start_time))
    return f"/servers/{server_id}/os-instance-actions", action.request_id


@pytest.mark.parametrize(("version", "user", "fields"), [
    ("2.50", "admin", {"event", "start_time", "finish_time", "result", "traceback"}),
    ("2.51", "alice", {"event", "start_time", "finish_time", "result"}),
    ("2.51", "admin", {"event", "start_time", "finish_time", "result", "traceback"}),
    ("2.62", "alice", {"event", "start_time", "finish_time", "result", "hostId"}),
    ("2.84", "alice", {"event", "start_time", "finish_time", "result", "hostId"}),
    ("2.84", "admin", {"event", "start_time", "finish_time", "result", "traceback", "host", "hostId", "details"}),
])
def test_events_show_by_version_and_role(
    api: ComputeApi, server_id: str, version: str, user: str, fields: set[str]
) -> None:
    path, request_id = journal(api, server_id)
    entry = api.get(f"{path}/{request_id}", version=version, user=user).body["instanceAction"]
    assert (entry["action"], set(entry["events"][0])) == ("create", fields)


def test_steps_that_nova_counts_as_one_event_are_shown_as_one_per_attempt(api: ComputeApi, server_id: str) -> None:
    path, request_id = journal(api, server_id)
    with api.database.reader() as session:
        action = session.scalars(sa.select(Action).where(Action.request_id == request_id)).one()
    begun = action.start_time
    second = datetime.timedelta(seconds=1)
    for number, (attempt, name, result) in enumerate([
            (2, "pick_host", "Success"), (2, "prepare_network", "Success"), (2, "start_guest", "Error"),
            (3, "prepare_network", "Success"), (3, "start_guest", None)]):
        api.add(ActionEvent(
            action_id=action.id, attempt=attempt, name=name, host="h2", result=result, start_time=begun + number * second,
            finish_time=begun + (number + 1) * second if result else None, details="no" if result == "Error" else None))
    events = api.get(f"{path}/{request_id}", version="2.84", user="admin").body["instanceAction"]["events"]
    assert [(event["event"], event["result"], event["details"]) for event in events] == [
        ("compute__do_build_and_run_instance", None, None), ("compute__do_build_and_run_instance", "Error", "no"),
        ("schedule_instances", "Success", None), ("schedule_instances", "Error", "h1: full")]
    assert events[0]["finish_time"] is None
    assert events[1]["start_time"] < events[1]["finish_time"]


def test_before_2_51_events_are_for_admins(api: ComputeApi, server_id: str) -> None:
    path, request_id = journal(api, server_id)
    assert "events" not in api.get(f"{path}/{request_id}", version="2.50").body["instanceAction"]
    assert api.get(f"{path}/req-none").status == 404


def test_actions_page_by_request_id_from_2_58_on(api: ComputeApi, server_id: str) -> None:
    for word in ("lock", "unlock"):
        act(api, server_id, word)
    path = f"/servers/{server_id}/os-instance-actions"
    page = api.get(f"{path}?limit=2", version="2.58").body
    assert [action["action"] for action in page["instanceActions"]] == ["unlock", "lock"]
    rest = api.get(page["links"][0]["href"].split("/v2.1")[1], version="2.58").body
    assert ([action["action"] for action in rest["instanceActions"]], "links" in rest) == (["create"], False)
    assert api.get(f"{path}?marker=nope", version="2.58").status == 400
    assert api.get(f"{path}?changes-since=2099-01-01T00:00:00Z", version="2.58").body["instanceActions"] == []
    assert api.get(f"{path}?changes-before=2099-01-01T00:00:00Z", version="2.58").status == 400
    assert len(api.get(f"{path}?changes-before=2099-01-01T00:00:00Z", version="2.66").body["instanceActions"]) == 3


@pytest.mark.parametrize(("before", "count"), [
    ("2026-01-02T03:04:05Z", 1), ("2026-01-02T04:04:05%2B01:00", 1), ("2026-01-02T03:04:05.654321Z", 1), ("2026-01-02T03:04:05.5Z", 0),
    ("2026-01-02T03:04:04Z", 0)])
def test_changes_before_a_second_include_that_second(api: ComputeApi, server_id: str, before: str, count: int) -> None:
    changed = datetime.datetime(2026, 1, 2, 3, 4, 5, 654_321)  # as rows have it
    settle(api, server_id, updated_at=changed)
    api.change(lambda session: session.execute(sa.update(Action).values(updated_at=changed)))
    for path, key in (("/servers", "servers"), (f"/servers/{server_id}/os-instance-actions", "instanceActions")):
        assert len(api.get(f"{path}?changes-before={before}", version="2.66").body[key]) == count


def test_actions_of_a_deleted_server_stay_readable_from_2_21_on(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="deleted", deleted_at=utcnow())
    assert api.get(f"/servers/{server_id}/os-instance-actions", version="2.20").status == 404
    assert api.get(f"/servers/{server_id}/os-instance-actions", version="2.21").status == 200
