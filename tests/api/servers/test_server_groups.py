# SPDX-License-Identifier: Apache-2.0
"""Server groups and scheduler hints, as requests."""

from __future__ import annotations

from typing import Any

import pytest

from nova_lite.db.compute import servers
from nova_lite.payloads import placement
from tests.support.api.compute_api import SERVER, Answer, ComputeApi, boot
from tests.support.api.users import PROJECTS


def make(api: ComputeApi, version: str = "2.64", user: str = "alice", **fields: Any) -> Answer:
    policy = {"policy": "anti-affinity"} if version == "2.64" else {"policies": ["anti-affinity"]}
    return api.post("/os-server-groups", {"server_group": {"name": "g", **policy, **fields}}, user=user, version=version)


def join(api: ComputeApi, group_id: str, **fields: Any) -> Answer:
    return api.post("/servers", {"server": {**SERVER, **fields}, "os:scheduler_hints": {"group": group_id}})


@pytest.mark.parametrize(("version", "fields"), [
    ("2.1", {"id", "name", "policies", "members", "metadata"}),
    ("2.13", {"id", "name", "policies", "members", "metadata", "project_id", "user_id"}),
    ("2.64", {"id", "name", "policy", "rules", "members", "project_id", "user_id"})])
def test_a_group_shows_what_its_version_has(api: ComputeApi, version: str, fields: set[str]) -> None:
    response = make(api, version)
    assert (response.status, set(response.body["server_group"])) == (200, fields)
    group_id = response.body["server_group"]["id"]
    assert api.get(f"/os-server-groups/{group_id}", version=version).body == response.body
    assert api.get("/os-server-groups", version=version).body["server_groups"] == [response.body["server_group"]]


def test_a_group_has_one_known_policy(api: ComputeApi) -> None:
    assert make(api, "2.1").body["server_group"]["policies"] == ["anti-affinity"]
    assert make(api, rules={"max_server_per_host": "3"}).body["server_group"]["rules"] == {"max_server_per_host": 3}
    refused = [
        make(api, "2.1", policies=[]), make(api, "2.1", policies=["affinity", "anti-affinity"]),
        make(api, "2.14", policies=["soft-affinity"]), make(api, policy="nope"), make(api, name=""),
        make(api, policy="affinity", rules={"max_server_per_host": 2}), make(api, rules={"max_server_per_host": 0}),
        make(api, rules={"colour": 2}), make(api, rules={"max_server_per_host": "-1"})]
    assert [answer.status for answer in refused] == [400] * len(refused)
    assert make(api, "2.15", policies=["soft-affinity"]).status == 200


def test_a_groups_members_are_its_servers_that_are_not_deleted(api: ComputeApi) -> None:
    group_id = make(api).body["server_group"]["id"]
    server_id = join(api, group_id).body["server"]["id"]
    assert api.get(f"/os-server-groups/{group_id}").body["server_group"]["members"] == [server_id]
    assert api.get(f"/servers/{server_id}", version="2.71").body["server"]["server_groups"] == [group_id]
    assert "server_groups" not in api.get("/servers/detail", version="2.71").body["servers"][0]
    api.change(lambda session: servers.mark_deleted(session, server_id))
    assert api.get(f"/os-server-groups/{group_id}").body["server_group"]["members"] == []


def test_a_delete_of_a_group_leaves_its_servers(api: ComputeApi) -> None:
    group_id = make(api).body["server_group"]["id"]
    server_id = join(api, group_id).body["server"]["id"]
    assert api.delete(f"/os-server-groups/{group_id}").status == 204
    assert api.get(f"/servers/{server_id}", version="2.71").body["server"]["server_groups"] == []
    assert api.delete(f"/os-server-groups/{group_id}").status == 404


def test_a_group_is_visible_in_its_project_only(api: ComputeApi) -> None:
    group_id = make(api).body["server_group"]["id"]
    assert api.get(f"/os-server-groups/{group_id}", user="bob").status == 404
    assert api.delete(f"/os-server-groups/{group_id}", user="bob").status == 404
    assert api.get("/os-server-groups", user="bob").body["server_groups"] == []
    assert api.get("/os-server-groups?all_projects=True", user="bob").status == 403
    assert len(api.get("/os-server-groups?all_projects=True", user="admin").body["server_groups"]) == 1
    assert api.get("/os-server-groups", user="admin").body["server_groups"] == []
    assert make(api, user="reader").status == 403
    body = {"server": SERVER, "os:scheduler_hints": {"group": group_id}}
    assert api.post("/servers", body, user="bob").status == 400


def test_groups_come_in_pages(api: ComputeApi) -> None:
    ids = [make(api, name=str(number)).body["server_group"]["id"] for number in range(3)]
    assert [one["id"] for one in api.get("/os-server-groups?limit=1&offset=1").body["server_groups"]] == ids[1:2]
    assert api.get("/os-server-groups?limit=x").status == 400
    assert api.get("/os-server-groups?offset=-1").status == 400
    assert api.get("/os-server-groups?colour=x", version="2.75").status == 400


def test_groups_and_members_over_quota_are_refused(api: ComputeApi) -> None:
    quota = {"quota_set": {"server_groups": 1, "server_group_members": 2}}
    assert api.put(f"/os-quota-sets/{PROJECTS['alice']}", quota, user="admin").status == 200
    group_id = make(api).body["server_group"]["id"]
    assert make(api).status == 403
    assert join(api, group_id, min_count=3).status == 403
    assert join(api, group_id, min_count=2).status == 202
    assert join(api, group_id).status == 403
    assert api.get("/limits").body["limits"]["absolute"]["totalServerGroupsUsed"] == 1


@pytest.mark.parametrize("scheduler_hints", [
    {"group": "nope"}, {"group": "11111111-1111-4111-8111-111111111111"}, {"same_host": "x"}, {"query": "[]"}, {"cidr": "/24"}])
def test_invalid_scheduler_hints_are_refused(api: ComputeApi, scheduler_hints: dict[str, Any]) -> None:
    assert api.post("/servers", {"server": SERVER, "os:scheduler_hints": scheduler_hints}).status == 400


def test_the_placement_request_has_the_scheduler_hints(api: ComputeApi) -> None:
    group_id = make(api, rules={"max_server_per_host": 2}).body["server_group"]["id"]
    other = boot(api)
    response = api.post("/servers", {"server": SERVER, "os:scheduler_hints": {
        "group": group_id, "different_host": [other], "same_host": other, "colour": "blue"}})
    request = api.change(lambda session: placement.request(session, servers.get(session, response.body["server"]["id"])))
    assert (request.group_id, request.group_policy, request.group_max_per_host) == (group_id, "anti-affinity", 2)
    assert (request.same_host, request.different_host) == ((other,), (other,))
