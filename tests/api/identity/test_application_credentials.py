# SPDX-License-Identifier: Apache-2.0
"""Application credentials: made by their user, good for one project and some roles, and ended with what they rest on."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import webob

from nova_lite.db.base import utcnow
from nova_lite.db.identity.application_credentials import ApplicationCredential
from tests.support.api.identity_cloud import IdentityCloud

NUMBERS = itertools.count()


class Owner:
    """A new user with the role manager in a project of their own."""

    def __init__(self, cloud: IdentityCloud, admin: str) -> None:
        self.cloud = cloud
        self.name = f"owner{next(NUMBERS)}"
        self.user_id, self.project_id = cloud.make_user(self.name, project=f"of {self.name}", role="manager", admin=admin)
        self.token = cloud.token(self.name, f"{self.name} secret", project=f"of {self.name}")
        self.path = f"/users/{self.user_id}/application_credentials"

    def request(self, *, token: str = "", **params: Any) -> webob.Response:
        body = {"application_credential": {"name": f"c{next(NUMBERS)}", **params}}
        return self.cloud.call("POST", self.path, body, token=token or self.token)

    def create(self, **params: Any) -> dict[str, Any]:
        made = self.request(**params)
        assert made.status_int == 201, made.text
        return dict(made.json["application_credential"])


@pytest.fixture(scope="module")
def owner(cloud: IdentityCloud, admin: str) -> Owner:
    """One for all tests that leave the user as they are."""
    return Owner(cloud, admin)


@pytest.fixture
def fresh(cloud: IdentityCloud, admin: str) -> Owner:
    return Owner(cloud, admin)


def log_in(cloud: IdentityCloud, credential: dict[str, Any], **changes: Any) -> webob.Response:
    params = {"id": credential["id"], "secret": credential["secret"], **changes}
    return cloud.call("POST", "/auth/tokens", {"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": {key: value for key, value in params.items() if value}}}})


def token_of(cloud: IdentityCloud, credential: dict[str, Any]) -> str:
    return str(log_in(cloud, credential).headers["X-Subject-Token"])


def test_the_secret_is_shown_once_and_kept_as_a_hash(cloud: IdentityCloud, owner: Owner) -> None:
    made = owner.create(description="for CI")
    assert len(made["secret"]) >= 64
    shown = cloud.call("GET", f"{owner.path}/{made['id']}", token=owner.token).json["application_credential"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (shown["project_id"], shown["unrestricted"], shown["expires_at"]) == (owner.project_id, False, None)
    assert {role["name"] for role in shown["roles"]} == {"manager", "member", "reader"}
    assert shown in cloud.call("GET", owner.path, token=owner.token).json["application_credentials"]
    for name, found in ((made["name"], [shown]), ("other", [])):
        assert cloud.call("GET", f"{owner.path}?name={name}", token=owner.token).json["application_credentials"] == found
    with cloud.database.reader() as session:
        row = session.get(ApplicationCredential, made["id"])
        assert row is not None
        assert row.secret_hash.startswith("scrypt$")


def test_a_login_has_the_credentials_project_and_roles(cloud: IdentityCloud, owner: Owner) -> None:
    made = owner.create(roles=[{"name": "member"}], secret="a chosen one")
    answer = log_in(cloud, made)
    token = answer.json["token"]
    assert answer.status_int == 201
    assert (token["methods"], token["project"]["id"], token["user"]["id"]) == (
        ["application_credential"], owner.project_id, owner.user_id)
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    assert token["application_credential"] == {"id": made["id"], "name": made["name"], "restricted": True}
    text = answer.headers["X-Subject-Token"]
    assert cloud.call("GET", "/auth/tokens", token=text, headers={"X-Subject-Token": text}).json == answer.json


@pytest.mark.parametrize("form", ["name and user id", "name and user name"])
def test_a_login_by_the_credentials_name_needs_its_user(cloud: IdentityCloud, owner: Owner, form: str) -> None:
    made = owner.create()
    user = {"id": owner.user_id} if form == "name and user id" else {"name": owner.name, "domain": {"id": "default"}}
    assert log_in(cloud, made, id=None, name=made["name"], user=user).status_int == 201
    assert log_in(cloud, made, id=None, name="none of the kind", user=user).status_int == 401
    assert log_in(cloud, made, id=None, name=made["name"]).status_int == 400


def test_wrong_secrets_and_unknown_credentials_have_the_same_answer(cloud: IdentityCloud, owner: Owner) -> None:
    made = owner.create()
    wrong, unknown = log_in(cloud, made, secret="guess"), log_in(cloud, made, id="0" * 32)
    assert (wrong.status_int, unknown.status_int, wrong.body) == (401, 401, unknown.body)


def test_a_login_names_no_other_project(cloud: IdentityCloud, fresh: Owner, admin: str) -> None:
    made = fresh.create()
    role = cloud.call("GET", "/roles?name=member", token=admin).json["roles"][0]["id"]
    other = cloud.call("POST", "/projects", {"project": {"name": f"second of {fresh.name}"}}, token=admin).json["project"]["id"]
    cloud.call("PUT", f"/projects/{other}/users/{fresh.user_id}/roles/{role}", token=admin)
    for project_id, status in ((fresh.project_id, 201), (other, 401)):
        for identity in ({"methods": ["application_credential"], "application_credential": {"id": made["id"], "secret": made["secret"]}},
                         {"methods": ["token"], "token": {"id": token_of(cloud, made)}}):
            auth = {"identity": identity, "scope": {"project": {"id": project_id}}}
            assert cloud.call("POST", "/auth/tokens", {"auth": auth}).status_int == status


def test_a_token_for_its_token_is_the_credentials_too(cloud: IdentityCloud, owner: Owner) -> None:
    made = owner.create(roles=[{"name": "reader"}])
    answer = cloud.call("POST", "/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": token_of(cloud, made)}}}})
    token = answer.json["token"]
    assert (token["application_credential"]["id"], {role["name"] for role in token["roles"]}) == (made["id"], {"reader"})


@pytest.mark.parametrize(("params", "named"), [
    ({"roles": [{"name": "admin"}]}, "admin"), ({"roles": [{"id": "nobody"}]}, "nobody"), ({"roles": [{"domain_id": None}]}, "role"),
    ({"access_rules": [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]}, "access_rules"),
    ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"), ({"expires_at": "tomorrow"}, "expires_at"), ({"bogus": 1}, "bogus"),
])
def test_what_cannot_be_given_is_refused_by_name(owner: Owner, params: dict[str, Any], named: str) -> None:
    refused = owner.request(**params)
    assert (refused.status_int, named in refused.json["error"]["message"]) == (400, True)


def test_a_name_is_the_users_only_once_and_the_number_is_bounded(cloud: IdentityCloud, fresh: Owner) -> None:
    cloud.conf.set_override("application_credentials_per_user", 2, group="identity")
    try:
        fresh.create(name="same")
        assert fresh.request(name="same").status_int == 409
        fresh.create(name="second")
        refused = fresh.request(name="third")
    finally:
        cloud.conf.clear_override("application_credentials_per_user", group="identity")
    assert (refused.status_int, "maximum of 2" in refused.json["error"]["message"]) == (403, True)


def test_only_its_user_makes_it_and_an_admin_may_see_and_delete_it(
    cloud: IdentityCloud, owner: Owner, admin: str, mallory: str
) -> None:
    made = owner.create()
    one = f"{owner.path}/{made['id']}"
    assert [owner.request(token=token).status_int for token in (admin, mallory)] == [403, 403]
    assert [cloud.call("GET", path, token=mallory).status_int for path in (owner.path, one)] == [403, 403]
    assert cloud.call("DELETE", one, token=mallory).status_int == 403
    assert [cloud.call("GET", path, token=admin).status_int for path in (owner.path, one)] == [200, 200]
    assert [cloud.call("DELETE", one, token=admin).status_int for _ in range(2)] == [204, 404]


def test_an_unscoped_token_makes_none(cloud: IdentityCloud, owner: Owner) -> None:
    assert owner.request(token=cloud.token(owner.name, f"{owner.name} secret", project=None)).status_int == 400


def test_only_an_unrestricted_one_manages_others(cloud: IdentityCloud, owner: Owner) -> None:
    restricted, free = owner.create(), owner.create(unrestricted=True, roles=[{"name": "member"}])
    token = token_of(cloud, restricted)
    assert owner.request(token=token).status_int == 403
    assert cloud.call("DELETE", f"{owner.path}/{free['id']}", token=token).status_int == 403
    token = token_of(cloud, free)
    assert owner.request(token=token, roles=[{"name": "manager"}]).status_int == 400  # more than it has itself
    assert owner.request(token=token).status_int == 201
    assert cloud.call("DELETE", f"{owner.path}/{restricted['id']}", token=token).status_int == 204


def _delete(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    owner.cloud.call("DELETE", f"{owner.path}/{made['id']}", token=owner.token)


def _revoke_role(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    role = owner.cloud.call("GET", "/roles?name=manager", token=admin).json["roles"][0]["id"]
    path = f"/projects/{owner.project_id}/users/{owner.user_id}/roles/{role}"
    assert [owner.cloud.call(method, path, token=admin).status_int for method in ("DELETE", "PUT")] == [204, 204]


def _delete_user(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    assert owner.cloud.call("DELETE", f"/users/{owner.user_id}", token=admin).status_int == 204


def _disable_user(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    owner.cloud.call("PATCH", f"/users/{owner.user_id}", {"user": {"enabled": False}}, token=admin)


def _delete_project(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    assert owner.cloud.call("DELETE", f"/projects/{owner.project_id}", token=admin).status_int == 204


def _disable_project(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    owner.cloud.call("PATCH", f"/projects/{owner.project_id}", {"project": {"enabled": False}}, token=admin)


def _expire(owner: Owner, admin: str, made: dict[str, Any]) -> None:
    with owner.cloud.database.writer() as session:
        row = session.get(ApplicationCredential, made["id"])
        assert row is not None
        row.expires_at = utcnow() - datetime.timedelta(seconds=1)


@pytest.mark.parametrize(
    "end", [_delete, _revoke_role, _delete_user, _disable_user, _delete_project, _disable_project, _expire])
def test_it_ends_with_what_it_rests_on_and_its_tokens_too(
    cloud: IdentityCloud, fresh: Owner, admin: str, forget: Callable[[], None], end: Callable[[Owner, str, dict[str, Any]], None]
) -> None:
    made = fresh.create()
    token = token_of(cloud, made)
    assert cloud.call("GET", "/auth/projects", token=token).status_int == 200
    end(fresh, admin, made)
    forget()
    assert cloud.call("GET", "/auth/projects", token=token).status_int == 401
    assert log_in(cloud, made).status_int == 401


def test_it_does_not_come_back_with_its_user(cloud: IdentityCloud, fresh: Owner, admin: str) -> None:
    made = fresh.create()
    for enabled in (False, True):
        cloud.call("PATCH", f"/users/{fresh.user_id}", {"user": {"enabled": enabled}}, token=admin)
    assert log_in(cloud, made).status_int == 401
    assert cloud.call("GET", fresh.path, token=admin).json["application_credentials"] == []


def test_it_ends_with_a_role_that_it_has(cloud: IdentityCloud, fresh: Owner, admin: str) -> None:
    role = cloud.call("POST", "/roles", {"role": {"name": f"painter of {fresh.name}"}}, token=admin).json["role"]
    cloud.call("PUT", f"/projects/{fresh.project_id}/users/{fresh.user_id}/roles/{role['id']}", token=admin)
    token = cloud.token(fresh.name, f"{fresh.name} secret", project=f"of {fresh.name}")
    made = fresh.request(token=token, roles=[{"id": role["id"]}]).json["application_credential"]
    assert {one["name"] for one in log_in(cloud, made).json["token"]["roles"]} == {role["name"]}
    assert cloud.call("DELETE", f"/roles/{role['id']}", token=admin).status_int == 204
    assert log_in(cloud, made).status_int == 401


def test_a_new_password_leaves_it_and_its_tokens(cloud: IdentityCloud, fresh: Owner, forget: Callable[[], None]) -> None:
    made = fresh.create()
    token = token_of(cloud, made)
    change = {"user": {"password": "new secret", "original_password": f"{fresh.name} secret"}}
    assert cloud.call("POST", f"/users/{fresh.user_id}/password", change).status_int == 204
    forget()
    assert cloud.call("GET", "/auth/projects", token=token).status_int == 200
    assert log_in(cloud, made).status_int == 201


def test_a_token_expires_with_it(cloud: IdentityCloud, owner: Owner) -> None:
    until = (utcnow() + datetime.timedelta(minutes=10)).replace(microsecond=0)
    made = owner.create(expires_at=until.isoformat() + "Z")
    assert made["expires_at"] == until.isoformat() + ".000000"  # as gophercloud reads it
    assert log_in(cloud, made).json["token"]["expires_at"] == made["expires_at"] + "Z"


def test_access_rules_are_listed_empty(cloud: IdentityCloud, owner: Owner, mallory: str) -> None:
    path = f"/users/{owner.user_id}/access_rules"
    assert cloud.call("GET", path, token=owner.token).json["access_rules"] == []
    assert cloud.call("GET", path, token=mallory).status_int == 403
