# SPDX-License-Identifier: Apache-2.0
"""Servers shown, listed, changed and deleted, as requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.base import utcnow
from nova_lite.db.compute.server_lists import SORT_COLUMNS
from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, ComputeApi, boot, settle
from tests.support.api.users import PROJECTS


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path))
    for quota in ("instances", "cores", "ram", "ports"):
        api.conf.set_override(quota, -1, group="quota")
    return api


def show(api: ComputeApi, server_id: str, *, user: str = "alice", version: str = "2.1") -> dict[str, Any]:
    return dict(api.get(f"/servers/{server_id}", user=user, version=version).body["server"])


def names(api: ComputeApi, query: str, *, user: str = "alice", version: str = "2.96") -> list[str]:
    answer = api.get(f"/servers/detail?{query}", user=user, version=version)
    assert answer.status == 200, answer.body
    return [server["name"] for server in answer.body["servers"]]


BASE = {
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
    "addresses", "accessIPv4", "accessIPv6", "links", "key_name", "config_drive", "progress", "OS-DCF:diskConfig",
    "OS-EXT-AZ:availability_zone", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state",
    "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", "security_groups", "os-extended-volumes:volumes_attached",
}
HOST = {"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:hypervisor_hostname", "OS-EXT-SRV-ATTR:instance_name"}
MORE = {f"OS-EXT-SRV-ATTR:{word}" for word in (
    "hostname", "reservation_id", "launch_index", "kernel_id", "ramdisk_id", "root_device_name", "user_data")}


@pytest.mark.parametrize(("version", "user", "added"), [
    ("2.1", "alice", set()), ("2.1", "admin", HOST), ("2.3", "admin", HOST | MORE), ("2.3", "alice", set()),
    ("2.9", "alice", {"locked"}), ("2.16", "admin", HOST | MORE | {"locked", "host_status"}),
    ("2.19", "alice", {"locked", "description"}), ("2.26", "alice", {"locked", "description", "tags"}),
    ("2.96", "alice", {"locked", "description", "tags", "trusted_image_certificates", "server_groups",
                       "locked_reason", "pinned_availability_zone", "OS-EXT-SRV-ATTR:hostname"}),
])
def test_fields_depend_on_microversion_and_role(api: ComputeApi, version: str, user: str, added: set[str]) -> None:
    server_id = boot(api)
    settle(api, server_id)
    assert set(show(api, server_id, user=user, version=version)) == BASE | added


def test_the_flavor_is_a_link_before_2_47_and_embedded_since(api: ComputeApi) -> None:
    server_id = boot(api)
    assert show(api, server_id, version="2.46")["flavor"] == {
        "id": "1", "links": [{"rel": "bookmark", "href": "http://cloud:8774/flavors/1"}]}
    assert show(api, server_id, version="2.47")["flavor"] == {
        "original_name": "m1", "vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {"a": "b"}}


def test_a_server_shows_its_image_addresses_and_groups(api: ComputeApi) -> None:
    server = show(api, boot(api))
    assert server["image"] == {"id": IMAGE, "links": [{"rel": "bookmark", "href": f"http://cloud:8774/images/{IMAGE}"}]}
    assert [(address["version"], address["OS-EXT-IPS:type"]) for address in server["addresses"]["net"]] == [(4, "fixed")]
    assert server["security_groups"] == [{"name": "default"}]


@pytest.mark.parametrize(("columns", "status"), [
    ({}, "ACTIVE"), ({"vm_state": "stopped"}, "SHUTOFF"), ({"task_state": "rebooting"}, "REBOOT"),
    ({"vm_state": "building", "task_state": "spawning"}, "BUILD"), ({"vm_state": "error"}, "ERROR"),
    ({"vm_state": "paused"}, "PAUSED"), ({"vm_state": "suspended", "task_state": "rebooting_hard"}, "HARD_REBOOT"),
])
def test_the_status_follows_vm_state_and_task_state(api: ComputeApi, columns: dict[str, Any], status: str) -> None:
    server_id = boot(api)
    settle(api, server_id, **columns)
    assert show(api, server_id)["status"] == status
    assert names(api, f"status={status}") == names(api, f"status={status.lower()}") == ["vm"]
    assert names(api, "status=ACTIVE") == (["vm"] if status == "ACTIVE" else [])


def test_a_fault_is_shown_in_error_with_details_for_admins(api: ComputeApi) -> None:
    server_id = boot(api)
    fault = {"code": 500, "message": "No valid host was found.", "created": "2026-01-01T00:00:00Z", "details": "h1: full"}
    settle(api, server_id, fault=fault)
    assert "fault" not in show(api, server_id)
    settle(api, server_id, fault=fault, vm_state="error")
    assert show(api, server_id)["fault"] == {key: value for key, value in fault.items() if key != "details"}
    assert show(api, server_id, user="admin")["fault"] == fault


@pytest.mark.parametrize(("path", "method"), [
    ("", "GET"), ("", "DELETE"), ("/metadata", "GET"), ("/tags", "GET"), ("/ips", "GET"), ("/ips/net", "GET"),
    ("/os-security-groups", "GET"), ("/os-interface", "GET"), ("/os-instance-actions", "GET"),
    ("/os-instance-actions/req-x", "GET"), ("/metadata/a", "GET"), ("/metadata/a", "DELETE"), ("/tags/a", "PUT"),
    ("/tags", "DELETE"), ("/tags/a", "DELETE"), ("/tags/a", "GET"),
])
def test_a_server_of_another_project_is_not_found(api: ComputeApi, path: str, method: str) -> None:
    server_id = boot(api, metadata={"a": "b"})
    settle(api, server_id)
    refused = api.request(method, f"/servers/{server_id}{path}", user="bob", version="2.96")
    assert (refused.status, list(refused.body)) == (404, ["itemNotFound"])


@pytest.mark.parametrize("word", [
    "os-start", "os-stop", "pause", "unpause", "suspend", "resume", "lock", "unlock", "forceDelete",
])
def test_actions_on_a_server_of_another_project_are_not_found(api: ComputeApi, word: str) -> None:
    server_id = boot(api)
    settle(api, server_id)
    assert api.post(f"/servers/{server_id}/action", {word: None}, user="bob").status == 404
    assert api.post(f"/servers/{server_id}/action", {word: None}, user="reader").status == 403
    assert show(api, server_id)["OS-EXT-STS:task_state"] is None


def test_lists_have_the_servers_of_the_callers_project_only(api: ComputeApi) -> None:
    boot(api, name="hers")
    boot(api, name="his", user="bob")
    assert (names(api, ""), names(api, "", user="bob"), names(api, "", user="admin")) == (["hers"], ["his"], [])
    assert names(api, "all_tenants=1", user="admin") == ["his", "hers"]
    assert names(api, f"all_tenants=1&project_id={PROJECTS['bob']}", user="admin") == ["his"]
    assert names(api, f"project_id={PROJECTS['bob']}", user="admin") == []  # counts with all_tenants only
    assert names(api, f"project_id={PROJECTS['bob']}") == ["hers"]  # a user's filter, dropped
    assert api.get("/servers?all_tenants=True").status == 403
    assert api.get("/servers/detail?all_tenants=True").status == 403
    assert api.get("/servers?all_tenants=False").status == 200


@pytest.mark.parametrize(("query", "found"), [
    ("name=web", ["web-2", "web-1"]), ("name=^web-1$", ["web-1"]), ("name=WEB", []), ("status=ACTIVE", ["web-1"]),
    ("status=ACTIVE&status=BUILD", ["db", "web-2", "web-1"]), ("image=" + IMAGE, ["db", "web-2", "web-1"]),
    ("image=none", []), ("flavor=1", ["db", "web-2", "web-1"]), ("flavor=9", []), ("ip=10.0.0", ["db", "web-2", "web-1"]),
    ("ip=^192", []), ("tags=a", ["web-2", "web-1"]), ("tags=a,b", ["web-2"]), ("tags=A", []), ("tags-any=a,c", ["web-2", "web-1"]),
    ("not-tags=a", ["db"]), ("not-tags-any=b,c", ["db", "web-1"]), ("locked=True", []), ("locked=False&name=db", ["db"]),
    ("changes-since=2020-01-01T00:00:00Z", ["db", "web-2", "web-1"]), ("changes-before=2020-01-01T00:00:00Z", []),
    ("changes-since=2099-01-01T00:00:00", []), ("vm_state=active", ["web-1"]), ("power_state=RUNNING", ["web-1"]),
    ("power_state=1", ["web-1"]), ("user_id=alice", ["db", "web-2", "web-1"]), ("key_name=x", []),
    ("task_state=scheduling", ["db", "web-2"]), ("limit=1", ["db"]), ("limit=0", []), ("deleted=True", ["db", "web-2", "web-1"]),
    ("sort_key=display_name&sort_dir=asc", ["db", "web-1", "web-2"]), ("sort_dir=asc", ["web-1", "web-2", "db"]),
    ("sort_key=vm_state&sort_dir=asc&sort_key=display_name&sort_dir=desc", ["web-1", "web-2", "db"]),
    ("config_drive=False", ["db", "web-2", "web-1"]), ("availability_zone=mars", []), ("metadata=x", ["db", "web-2", "web-1"]),
])
def test_lists_filter_and_sort(api: ComputeApi, query: str, found: list[str]) -> None:
    settle(api, boot(api, name="web-1", version="2.52", networks="auto", tags=["a"]))
    boot(api, name="web-2", version="2.52", networks="auto", tags=["a", "b"])
    boot(api, name="db")
    assert names(api, query) == found


@pytest.mark.parametrize(("query", "status"), [
    ("name=(", 400), ("status=FOO", 400), ("marker=nope", 400), ("limit=-1", 400), ("limit=x", 400), ("sort_key=x", 400),
    ("sort_key=id&sort_dir=up", 400), ("colour=red", 400), ("changes-since=yesterday", 400), ("locked=perhaps", 400),
    ("all_tenants=perhaps", 400), ("sort_key=host", 403), ("status=deleted", 403), ("power_state=x", 400),
])
def test_a_wrong_query_is_refused(api: ComputeApi, query: str, status: int) -> None:
    assert api.get(f"/servers?{query}", version="2.96").status == status


def test_old_versions_ignore_unknown_filters(api: ComputeApi) -> None:
    boot(api)
    assert names(api, "colour=red", version="2.74") == ["vm"]
    assert names(api, "status=FOO", version="2.37") == []
    assert names(api, "tags=x", version="2.25") == ["vm"]
    assert names(api, "vm_state=active", version="2.82") == ["vm"]  # not a filter for users yet


def test_pages_link_to_the_next(api: ComputeApi) -> None:
    for number in range(5):
        boot(api, name=f"s{number}")
    seen, path = [], "/servers?limit=2&name=s"
    while path:
        page = api.get(path).body
        seen.append([server["name"] for server in page["servers"]])
        links = page.get("servers_links", [])
        path = links[0]["href"].split("/v2.1")[1] if links else ""
    assert seen == [["s4", "s3"], ["s2", "s1"], ["s0"]]


def test_deleted_servers_are_listed_for_admins_and_with_changes_since(api: ComputeApi) -> None:
    server_id = boot(api)
    settle(api, server_id, vm_state="deleted", deleted_at=utcnow(), updated_at=utcnow())
    assert names(api, "") == names(api, "deleted=True") == names(api, "all_tenants=1", user="admin") == []
    assert names(api, "all_tenants=1&deleted=True", user="admin") == ["vm"]
    assert names(api, "changes-since=2020-01-01T00:00:00Z") == ["vm"]
    assert names(api, "status=deleted&all_tenants=1", user="admin") == ["vm"]
    assert api.get(f"/servers/{server_id}").status == 404


def test_a_list_takes_as_many_queries_for_many_servers_as_for_one(api: ComputeApi) -> None:
    api.add(*compute_api.host("h1"))
    settle(api, boot(api))
    with api.counted() as for_one:
        names(api, "all_tenants=1", user="admin")
    for _ in range(20):
        settle(api, boot(api))
    with api.counted() as for_many:
        assert len(names(api, "all_tenants=1", user="admin")) == 21
    assert len(for_many) == len(for_one) <= 5


def test_a_delete_reads_the_server_twice_and_writes_twice(api: ComputeApi) -> None:
    server_id = boot(api)
    settle(api, server_id)
    with api.counted() as statements:
        api.delete(f"/servers/{server_id}")
    words = [text.split()[0] for text in statements]
    assert [word for word in words if word in ("SELECT", "UPDATE", "INSERT")] == ["SELECT", "UPDATE", "SELECT", "INSERT"]


def test_put_changes_the_fields_that_can_change(api: ComputeApi) -> None:
    server_id = boot(api)
    changed = api.put(f"/servers/{server_id}", {"server": {
        "name": "new", "description": "d", "hostname": "www", "accessIPv4": "192.0.2.1", "accessIPv6": "2001:db8::1",
        "OS-DCF:diskConfig": "AUTO"}}, version="2.90").body["server"]
    assert (changed["name"], changed["description"], changed["OS-EXT-SRV-ATTR:hostname"]) == ("new", "d", "www")
    server = show(api, server_id, version="2.90")
    assert (server["accessIPv4"], server["accessIPv6"], server["OS-DCF:diskConfig"]) == ("192.0.2.1", "2001:db8::1", "AUTO")
    assert show(api, server_id, version="2.90") == changed
    long = "0000:0000:0000:0000:0000:babe:220.12.22.2"
    changed = api.put(f"/servers/{server_id}", {"server": {"accessIPv6": long}}).body["server"]
    assert changed["accessIPv6"] == "::babe:dc0c:1602"


def test_put_shows_fewer_fields_before_2_75(api: ComputeApi) -> None:
    server_id = boot(api)
    path, change = f"/servers/{server_id}", {"server": {"name": "new"}}
    assert not set(api.put(path, change, version="2.74").body["server"]) & {"key_name", "OS-EXT-STS:vm_state"}
    assert set(api.put(path, change, version="2.75").body["server"]) == set(show(api, server_id, version="2.75"))


def test_an_empty_put_is_accepted(api: ComputeApi) -> None:
    assert api.put(f"/servers/{boot(api)}", {"server": {}}).status == 200


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"name": ""}, {"description": "early"}, {"accessIPv4": "x"}])
def test_a_wrong_put_is_refused(api: ComputeApi, wrong: dict[str, Any]) -> None:
    assert api.put(f"/servers/{boot(api)}", {"server": wrong}).status == 400


def test_a_delete_is_cast_to_the_conductor_once(api: ComputeApi) -> None:
    server_id = boot(api)
    api.rpc.sent.clear()
    assert [api.delete(f"/servers/{server_id}").status for _ in range(2)] == [204, 204]
    assert [message[2] for message in api.rpc.sent] == ["run"]
    assert show(api, server_id)["OS-EXT-STS:task_state"] == "deleting"
    assert api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"][0]["action"] == "delete"


def test_an_unknown_server_is_not_found(api: ComputeApi) -> None:
    for method, path in (("GET", "/servers/nope"), ("DELETE", "/servers/nope"), ("GET", "/servers/nope/metadata")):
        assert api.request(method, path).status == 404


def test_paths_can_have_a_project_id(api: ComputeApi) -> None:
    server_id = boot(api)
    assert api.get(f"/{PROJECTS['alice']}/servers/{server_id}").status == 200


@pytest.mark.parametrize("key", sorted(set(SORT_COLUMNS)))
def test_pages_can_be_in_any_order(api: ComputeApi, key: str) -> None:
    api.post("/servers", {"server": {**compute_api.SERVER, "min_count": 3}}, user="admin")
    query = f"/servers?sort_key={key}&sort_dir=asc&limit=1"
    seen: list[str] = []
    for _ in range(3):
        page = api.get(f"{query}&marker={seen[-1]}" if seen else query, user="admin", version="2.73").body
        seen += [server["id"] for server in page["servers"]]
    assert len(set(seen)) == 3
