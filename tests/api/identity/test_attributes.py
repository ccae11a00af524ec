# SPDX-License-Identifier: Apache-2.0
"""What clients add to projects, users and roles is kept or refused by name; tags, and a hierarchy of one level."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from nova_lite.db.identity import project_tags
from tests.support.api.identity_cloud import IdentityCloud

NUMBERS = itertools.count()


@pytest.fixture
def project(cloud: IdentityCloud, admin: str) -> dict[str, Any]:
    return dict(cloud.call("POST", "/projects", {"project": {"name": f"attributes {next(NUMBERS)}"}}, token=admin).json["project"])


@pytest.mark.parametrize("key", ["project", "user", "role"])
def test_further_attributes_are_kept_and_changed_one_by_one(cloud: IdentityCloud, admin: str, key: str) -> None:
    made = cloud.call("POST", f"/{key}s", {key: {"name": f"with {key}", "team": "red", "nested": {"a": [1]}}}, token=admin)
    assert made.status_int == 201
    path = f"/{key}s/{made.json[key]['id']}"
    changed = cloud.call("PATCH", path, {key: {"room": 5, "nested": None}}, token=admin)
    shown = cloud.call("GET", path, token=admin).json[key]
    assert changed.json[key] == shown
    assert {name: shown[name] for name in ("team", "room", "nested", "name")} == {
        "team": "red", "room": 5, "nested": None, "name": f"with {key}"}
    assert shown in cloud.call("GET", f"/{key}s", token=admin).json[f"{key}s"]


@pytest.mark.parametrize("key", ["project", "user", "role"])
def test_attributes_that_cannot_be_kept_are_refused_by_name(cloud: IdentityCloud, admin: str, key: str) -> None:
    for attribute, value in (("options", {"immutable": True}), ("id", "chosen")):
        refused = cloud.call("POST", f"/{key}s", {key: {"name": "refused", attribute: value}}, token=admin)
        assert (refused.status_int, attribute in refused.json["error"]["message"]) == (400, True)
    assert cloud.call("GET", f"/{key}s?name=refused", token=admin).json[f"{key}s"] == []


def test_all_further_attributes_of_one_row_are_bounded(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    path = f"/projects/{project['id']}"
    statuses = [cloud.call("PATCH", path, {"project": {f"a{number}": "x" * 1800}}, token=admin).status_int for number in range(10)]
    assert statuses == [200] * 9 + [400]
    assert "a9" not in cloud.call("GET", path, token=admin).json["project"]


def test_what_was_shown_may_be_sent_back(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    changed = cloud.call("PATCH", f"/projects/{project['id']}", {"project": {**project, "description": "same"}}, token=admin)
    assert changed.json["project"] == {**project, "description": "same"}
    other = cloud.call("PATCH", f"/projects/{project['id']}", {"project": {"id": "another"}}, token=admin)
    assert other.status_int == 400


def test_options_that_hold_anyway_are_kept(cloud: IdentityCloud, admin: str) -> None:
    options = {"ignore_password_expiry": True, "multi_factor_auth_enabled": False}
    made = cloud.call("POST", "/users", {"user": {"name": "opted", "options": options}}, token=admin).json["user"]
    assert made["options"] == options
    more = {"ignore_lockout_failure_attempts": True}
    changed = cloud.call("PATCH", f"/users/{made['id']}", {"user": {"options": more}}, token=admin).json["user"]
    assert changed["options"] == {**options, **more}
    refused = cloud.call("PATCH", f"/users/{made['id']}", {"user": {"options": {"multi_factor_auth_enabled": True}}}, token=admin)
    assert (refused.status_int, "options/multi_factor_auth_enabled" in refused.json["error"]["message"]) == (400, True)


def test_a_project_has_no_parent_but_its_domain(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    def create(parent: str | None) -> int:
        name = f"child {next(NUMBERS)}"
        return int(cloud.call("POST", "/projects", {"project": {"name": name, "parent_id": parent}}, token=admin).status_int)

    assert [create(None), create("default"), create("nonexistent"), create(project["id"])] == [201, 201, 404, 403]
    path = f"/projects/{project['id']}"
    for parent, status in (("default", 200), ("elsewhere", 403)):
        assert cloud.call("PATCH", path, {"project": {"parent_id": parent}}, token=admin).status_int == status


def test_a_project_shows_parents_and_children_on_request(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    path = f"/projects/{project['id']}"
    shown = cloud.call("GET", f"{path}?parents_as_list&subtree_as_ids", token=admin).json["project"]
    assert (shown["parents"], shown["subtree"]) == ([], None)
    assert cloud.call("GET", f"{path}?parents_as_ids", token=admin).json["project"]["parents"] == {"default": None}
    assert cloud.call("GET", f"{path}?subtree_as_list", token=admin).json["project"]["subtree"] == []
    assert cloud.call("GET", f"{path}?parents_as_list&parents_as_ids", token=admin).status_int == 400
    assert "parents" not in cloud.call("GET", path, token=admin).json["project"]


def test_lists_are_filtered_as_the_query_says(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    def ids(query: str) -> set[str]:
        return {one["id"] for one in cloud.call("GET", f"/projects?{query}", token=admin).json["projects"]}

    assert project["id"] in ids("parent_id=default") & ids("is_domain=false")
    assert ids(f"parent_id={project['id']}") | ids("is_domain=true") == set()
    assert cloud.call("GET", "/users?password_expires_at=lt:2030-01-01T00:00:00Z", token=admin).json["users"] == []
    for path, key in (("/roles?domain_id=default", "roles"), ("/regions?parent_region_id=above", "regions")):
        assert cloud.call("GET", path, token=admin).json[key] == []
    for path in ("/projects?name__contains=a", "/users?name__startswith=a", "/roles?name__icontains=a"):
        refused = cloud.call("GET", path, token=admin)
        assert (refused.status_int, "name__" in refused.json["error"]["message"]) == (400, True)


def test_tags_are_kept_one_by_one_and_all_at_once(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    path = f"/projects/{project['id']}/tags"
    assert [cloud.call("PUT", f"{path}/{tag}", token=admin).status_int for tag in ("red", "blue", "red")] == [201, 201, 201]
    assert cloud.call("GET", path, token=admin).json["tags"] == ["blue", "red"]
    assert [cloud.call("HEAD", f"{path}/{tag}", token=admin).status_int for tag in ("red", "green")] == [204, 404]
    assert [cloud.call("DELETE", f"{path}/red", token=admin).status_int for _ in range(2)] == [204, 404]
    assert cloud.call("PUT", f"{path}/a%252Fb", token=admin).status_int == 201
    assert cloud.call("GET", path, token=admin).json["tags"] == ["a%2Fb", "blue"]
    assert [cloud.call("DELETE", f"{path}/{escaped}", token=admin).status_int for escaped in ("%2F", "a%2Fb", "a%252Fb")] == [404, 404, 204]
    assert cloud.call("PUT", path, {"tags": ["one", "two"]}, token=admin).json["tags"] == ["one", "two"]
    changed = cloud.call("PATCH", f"/projects/{project['id']}", {"project": {"tags": ["three"]}}, token=admin)
    assert changed.json["project"]["tags"] == ["three"]
    assert cloud.call("DELETE", path, token=admin).status_int == 204
    assert cloud.call("GET", f"/projects/{project['id']}", token=admin).json["project"]["tags"] == []


def test_wrong_tags_are_refused(cloud: IdentityCloud, admin: str, project: dict[str, Any]) -> None:
    path = f"/projects/{project['id']}/tags"
    for tags in (["a,b"], ["a/b"], ["same", "same"], ["x" * 256], [str(number) for number in range(81)]):
        assert cloud.call("PUT", path, {"tags": tags}, token=admin).status_int == 400
    refused = cloud.call("PUT", f"{path}/a%2Fb", token=admin)
    assert (refused.status_int, "'a/b'" in refused.json["error"]["message"]) == (400, True)
    assert cloud.call("PUT", path, {"tags": [str(number) for number in range(80)]}, token=admin).status_int == 200
    assert cloud.call("PUT", f"{path}/one-more", token=admin).status_int == 400


def test_projects_are_found_by_tags(cloud: IdentityCloud, admin: str) -> None:
    for name, tags in (("t1", ["web", "eu"]), ("t2", ["web"]), ("t3", [])):
        cloud.call("POST", "/projects", {"project": {"name": name, "tags": tags}}, token=admin)

    def names(query: str) -> set[str]:
        listed = cloud.call("GET", f"/projects?{query}", token=admin).json["projects"]
        return {one["name"] for one in listed} & {"t1", "t2", "t3"}

    assert (names("tags=web"), names("tags=web,eu"), names("tags-any=eu,us")) == ({"t1", "t2"}, {"t1"}, {"t1"})
    assert (names("not-tags=web,eu"), names("not-tags-any=eu,us")) == ({"t2", "t3"}, {"t2", "t3"})
    many = ",".join(f"tag{number}" for number in range(250))
    assert (names(f"tags={many}"), names(f"tags=web,web&tags-any={many},eu")) == (set(), {"t1"})


def test_a_search_by_many_tags_is_planned_as_one_by_few() -> None:
    """PostgreSQL 15 was still planning a search by hundreds of joins after 19 minutes."""
    assert str(project_tags.has_all([f"tag{number}" for number in range(250)])).count("SELECT") == 1


def test_a_member_reads_tags_of_the_own_project_and_changes_none(cloud: IdentityCloud, alice: tuple[str, str], mallory: str) -> None:
    token = cloud.token("alice", "alice secret", project="red")
    path = f"/projects/{alice[1]}/tags"
    assert [cloud.call("GET", path, token=one).status_int for one in (token, mallory)] == [200, 403]
    assert cloud.call("PUT", f"{path}/mine", token=token).status_int == 403


def test_effective_assignments_have_the_implied_roles(cloud: IdentityCloud, admin: str, alice: tuple[str, str]) -> None:
    def roles(query: str) -> set[str]:
        path = f"/role_assignments?user.id={alice[0]}&include_names&{query}"
        return {one["role"]["name"] for one in cloud.call("GET", path, token=admin).json["role_assignments"]}

    reader = cloud.call("GET", "/roles?name=reader", token=admin).json["roles"][0]["id"]
    assert (roles(""), roles("effective"), roles(f"effective&role.id={reader}")) == ({"member"}, {"member", "reader"}, {"reader"})
    assert roles("scope.OS-INHERIT:inherited_to=projects") == set()


def test_the_domain_of_the_own_project_is_shown(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    member, unscoped = cloud.token("alice", "alice secret", project="red"), cloud.token("alice", "alice secret", project=None)
    assert cloud.call("GET", "/domains/default", token=member).json["domain"]["name"] == "Default"
    assert cloud.call("GET", "/domains/other", token=member).status_int == 403
    assert cloud.call("GET", "/domains/default", token=unscoped).status_int == 403
    assert cloud.call("GET", "/domains", token=member).status_int == 403


@pytest.mark.parametrize(("path", "key", "of_member"), [
    ("/OS-TRUST/trusts", "trusts", 200), ("/credentials", "credentials", 200), ("/limits", "limits", 200),
    ("/registered_limits", "registered_limits", 200), ("/policies", "policies", 403)])
def test_what_every_keystone_lists_is_listed_empty(cloud: IdentityCloud, admin: str, mallory: str, path: str, key: str, of_member: int) -> None:
    answer = cloud.call("GET", path, token=admin)
    assert (answer.status_int, answer.json[key], answer.json["links"]["self"]) == (200, [], f"http://cloud/identity/v3{path}")
    assert cloud.call("GET", path, token=mallory).status_int == of_member


def test_role_inferences_are_those_that_tokens_have(cloud: IdentityCloud, admin: str) -> None:
    listed = cloud.call("GET", "/role_inferences", token=admin).json["role_inferences"]
    assert {one["prior_role"]["name"]: [role["name"] for role in one["implies"]] for one in listed} == {
        "admin": ["manager", "member", "reader"], "manager": ["member", "reader"], "member": ["reader"]}


def test_groups_are_listed_empty(cloud: IdentityCloud, admin: str, alice: tuple[str, str], mallory: str) -> None:
    own = cloud.token("alice", "alice secret", project="red")
    for token, path, status in ((admin, "/groups", 200), (mallory, "/groups", 403), (own, f"/users/{alice[0]}/groups", 200),
                                (mallory, f"/users/{alice[0]}/groups", 403)):
        answer = cloud.call("GET", path, token=token)
        assert (answer.status_int, answer.json.get("groups", [])) == (status, [])
