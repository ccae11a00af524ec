# SPDX-License-Identifier: Apache-2.0
"""Users, projects, roles and assignments: authorization."""

from __future__ import annotations

import pytest

from nova_lite.api import identity
from nova_lite.api.identity import catalog
from nova_lite.api.wsgi.routing import routes_of
from nova_lite.api.wsgi.rules import PUBLIC
from nova_lite.db.identity import users
from tests.support.api.identity_cloud import ADMIN_PASSWORD, IdentityCloud


def test_passwords_are_stored_as_salted_scrypt(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    with cloud.database.reader() as session:
        stored = users.get(session, users.User, alice[0]).password_hash
    assert stored.startswith("scrypt$16384$8$1$")
    assert "alice" not in stored


def test_no_response_has_a_password_or_its_hash(cloud: IdentityCloud, admin: str, alice: tuple[str, str]) -> None:
    shown = cloud.call("GET", f"/users/{alice[0]}", token=admin)
    assert b"scrypt" not in shown.body
    assert "password" not in shown.json["user"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users", None),
        ("GET", "/users/{alice}", None),
        ("GET", "/users/{alice}/projects", None),
        ("POST", "/users", {"user": {"name": "x"}}),
        ("PATCH", "/users/{alice}", {"user": {"password": "x"}}),
        ("DELETE", "/users/{alice}", None),
        ("GET", "/projects", None),
        ("GET", "/projects/{red}", None),
        ("POST", "/projects", {"project": {"name": "x"}}),
        ("PATCH", "/projects/{red}", {"project": {"enabled": False}}),
        ("DELETE", "/projects/{red}", None),
        ("GET", "/roles", None),
        ("POST", "/roles", {"role": {"name": "x"}}),
        ("GET", "/domains", None),
        ("GET", "/domains/other", None),
        ("GET", "/services", None),
        ("GET", "/endpoints", None),
        ("GET", "/role_assignments", None),
        ("GET", "/role_assignments?user.id={alice}", None),
        ("PUT", "/projects/{red}/users/{alice}/roles/r", None),
        ("GET", "/projects/{red}/users/{alice}/roles", None),
        ("DELETE", "/projects/{red}/users/{alice}/roles/r", None),
    ],
)
def test_a_member_of_another_project_is_answered_403(
    cloud: IdentityCloud, alice: tuple[str, str], mallory: str, method: str, path: str, body: object
) -> None:
    answer = cloud.call(method, path.format(alice=alice[0], red=alice[1]), body, token=mallory)
    assert answer.status_int == 403


def test_unknown_resources_are_refused_like_another_users(cloud: IdentityCloud, mallory: str) -> None:
    assert cloud.call("GET", "/users/nobody", token=mallory).status_int == 403
    assert cloud.call("GET", "/projects/nothing", token=mallory).status_int == 403


def test_a_user_sees_their_own_user_and_projects(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    user_id, project_id = alice
    text = cloud.token("alice", "alice secret", project="red")
    assert cloud.call("GET", f"/users/{user_id}", token=text).json["user"]["name"] == "alice"
    assert cloud.call("GET", f"/projects/{project_id}", token=text).json["project"]["name"] == "red"
    for path in ("/auth/projects", f"/users/{user_id}/projects"):
        assert [project["name"] for project in cloud.call("GET", path, token=text).json["projects"]] == ["red"]
    assignments = cloud.call("GET", f"/role_assignments?user.id={user_id}&include_names=true", token=text)
    assert [row["role"]["name"] for row in assignments.json["role_assignments"]] == ["member"]


def test_users_and_domains_are_filtered_by_name(cloud: IdentityCloud, admin: str, alice: tuple[str, str]) -> None:
    assert cloud.call("GET", "/users/alice", token=admin).status_int == 404
    found = cloud.call("GET", "/users?name=alice&domain_id=default", token=admin).json["users"]
    assert [user["id"] for user in found] == [alice[0]]
    assert cloud.call("GET", "/users?name=alice&domain_id=other", token=admin).json["users"] == []
    assert cloud.call("GET", "/domains?name=Default", token=admin).json["domains"][0]["id"] == "default"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users", {"user": {"name": "admin"}}),
        ("/projects", {"project": {"name": "admin"}}),
        ("/roles", {"role": {"name": "member"}}),
    ],
)
def test_a_name_in_use_is_answered_409(cloud: IdentityCloud, admin: str, path: str, body: object) -> None:
    assert cloud.call("POST", path, body, token=admin).status_int == 409


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/users", {"user": {}}, "user"),
        ("/users", {"user": {"name": ""}}, "user/name"),
        ("/users", {"user": {"name": "x", "enabled": "yes"}}, "user/enabled"),
        ("/projects", {"project": {"name": "x" * 65}}, "project/name"),
        ("/projects", [], "JSON object"),
    ],
)
def test_invalid_fields_are_named(cloud: IdentityCloud, admin: str, path: str, body: object, field: str) -> None:
    answer = cloud.call("POST", path, body, token=admin)
    assert answer.status_int == 400
    assert field in answer.json["error"]["message"]


def test_a_user_in_an_unknown_domain_is_not_created(cloud: IdentityCloud, admin: str) -> None:
    answer = cloud.call("POST", "/users", {"user": {"name": "x", "domain_id": "mars"}}, token=admin)
    assert answer.status_int == 404


def test_deleting_a_project_and_user_leaves_no_assignment(cloud: IdentityCloud, admin: str) -> None:
    user_id, project_id = cloud.make_user("gone", project="gone", role="member", admin=admin)
    assert cloud.call("DELETE", f"/projects/{project_id}", token=admin).status_int == 204
    assert cloud.call("GET", f"/users/{user_id}/projects", token=admin).json["projects"] == []
    assert cloud.call("DELETE", f"/users/{user_id}", token=admin).status_int == 204
    assert cloud.call("GET", f"/users/{user_id}", token=admin).status_int == 404


def test_built_in_roles_are_neither_changed_nor_deleted(cloud: IdentityCloud, admin: str) -> None:
    role_id = cloud.call("GET", "/roles?name=reader", token=admin).json["roles"][0]["id"]
    assert cloud.call("DELETE", f"/roles/{role_id}", token=admin).status_int == 403
    assert cloud.call("PATCH", f"/roles/{role_id}", {"role": {"name": "x"}}, token=admin).status_int == 403


def test_an_admin_cannot_delete_their_own_user(cloud: IdentityCloud, admin: str) -> None:
    user_id = cloud.log_in().json["token"]["user"]["id"]
    assert cloud.call("DELETE", f"/users/{user_id}", token=admin).status_int == 403


def test_a_role_is_assigned_checked_and_removed(cloud: IdentityCloud, admin: str, alice: tuple[str, str]) -> None:
    role_id = cloud.call("POST", "/roles", {"role": {"name": "auditor"}}, token=admin).json["role"]["id"]
    path = f"/projects/{alice[1]}/users/{alice[0]}/roles/{role_id}"
    assert cloud.call("HEAD", path, token=admin).status_int == 404
    assert [cloud.call("PUT", path, token=admin).status_int for _ in range(2)] == [204, 204]
    assert cloud.call("HEAD", path, token=admin).status_int == 204
    listed = cloud.call("GET", f"/projects/{alice[1]}/users/{alice[0]}/roles", token=admin).json["roles"]
    assert {role["name"] for role in listed} == {"member", "auditor"}
    assert cloud.call("DELETE", path, token=admin).status_int == 204
    assert cloud.call("DELETE", path, token=admin).status_int == 404


def test_assigning_to_an_unknown_user_is_answered_404(cloud: IdentityCloud, admin: str, alice: tuple[str, str]) -> None:
    assert cloud.call("PUT", f"/projects/{alice[1]}/users/nobody/roles/none", token=admin).status_int == 404


def test_bootstrap_is_idempotent(cloud: IdentityCloud) -> None:
    with cloud.database.writer() as session:
        users.bootstrap(session, "another password")
    assert cloud.log_in(password=ADMIN_PASSWORD).status_int == 201
    assert cloud.log_in(password="another password").status_int == 401


def test_the_version_documents_name_v3() -> None:
    root = catalog.versions("http://cloud/identity")
    assert root["versions"]["values"][0]["links"] == [{"rel": "self", "href": "http://cloud/identity/v3/"}]
    assert catalog.version("http://cloud/identity/v3")["version"]["status"] == "stable"


def test_the_version_document_needs_no_token(cloud: IdentityCloud) -> None:
    assert cloud.call("GET", "/").json["version"]["id"].startswith("v3.")


# Keystone's rules (keystone/common/policies) that any token may pass, with what its owner, or its project, decides beyond.
KEYSTONES_ANYONE = set(["create_application_credential", "delete_application_credential", "get_application_credential", "list_application_credentials", "list_access_rules", "get_auth_catalog", "get_auth_domains", "get_auth_projects", "get_auth_system", "get_domain", "get_project", "get_project_tag", "list_project_tags", "get_region", "list_regions", "get_user", "list_groups_for_user", "list_user_projects", "list_credentials", "list_limits", "list_registered_limits", "list_trusts", "revoke_token", "validate_token"])
OURS = {"list_role_assignments"}  # users may list their own here


def test_rules_are_no_tighter_than_keystones() -> None:
    rules = {route.policy.name.removeprefix("identity:"): route.policy for route in routes_of(identity.RESOURCES) if route.policy is not PUBLIC}
    assert {name for name, rule in rules.items() if not rule.role} == KEYSTONES_ANYONE | OURS
    assert {rule.role for rule in rules.values()} == {"", "admin"}
