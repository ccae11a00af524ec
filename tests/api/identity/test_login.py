# SPDX-License-Identifier: Apache-2.0
"""Issuing tokens, and their validation and revocation."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from nova_lite.db.identity import passwords, token_owners
from nova_lite.values.image_grant import Access, ImageGrant
from tests.support.api.identity_cloud import IdentityCloud


def test_login_issues_a_token_with_roles_and_catalog(cloud: IdentityCloud) -> None:
    answer = cloud.log_in()
    token = answer.json["token"]
    assert answer.status_int == 201
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "admin"
    assert token["project"]["name"] == "admin"
    assert {role["name"] for role in token["roles"]} == {"admin", "manager", "member", "reader"}
    assert {service["type"] for service in token["catalog"]} == {
        "identity", "compute", "image", "network", "block-storage", "volumev3"}
    assert len(token["audit_ids"]) == 1


def test_catalog_urls_have_the_forms_that_clients_need(cloud: IdentityCloud) -> None:
    token = cloud.log_in().json["token"]
    services, project = token["catalog"], token["project"]["id"]
    urls = {service["type"]: {endpoint["url"] for endpoint in service["endpoints"]} for service in services}
    assert urls == {
        "identity": {"http://cloud/identity"},
        "compute": {"http://cloud/v2.1"},
        "image": {"http://cloud/image"},
        "network": {"http://cloud/network"},
        "block-storage": {f"http://cloud/volume/v3/{project}"},
        "volumev3": {f"http://cloud/volume/v3/{project}"},
    }


def test_login_without_a_scope_and_without_a_default_project_is_unscoped(
    cloud: IdentityCloud, alice: tuple[str, str]
) -> None:
    token = cloud.log_in("alice", "alice secret", project=None).json["token"]
    assert "project" not in token
    assert "roles" not in token


def test_login_without_a_scope_uses_the_default_project(cloud: IdentityCloud) -> None:
    assert cloud.log_in(project=None).json["token"]["project"]["name"] == "admin"


def test_login_by_ids_works(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    user_id, project_id = alice
    answer = cloud.call(
        "POST",
        "/auth/tokens",
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"id": user_id, "password": "alice secret"}},
                },
                "scope": {"project": {"id": project_id}},
            }
        },
    )
    assert answer.status_int == 201
    assert {role["name"] for role in answer.json["token"]["roles"]} == {"member", "reader"}


def test_a_wrong_password_and_an_unknown_user_have_the_same_response(cloud: IdentityCloud) -> None:
    wrong, unknown = cloud.log_in(password="guess"), cloud.log_in("nobody", "guess")
    assert (wrong.status_int, wrong.body) == (401, unknown.body)
    assert unknown.status_int == 401


def test_a_wrong_password_and_an_unknown_user_cost_the_same_work(
    cloud: IdentityCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    derive, costs = passwords._scrypt, []

    def counted(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
        costs.append((n, r, p))
        return derive(password, salt, n, r, p)

    monkeypatch.setattr(passwords, "_scrypt", counted)
    cloud.log_in("admin", "guess")
    of_admin = list(costs)
    costs.clear()
    cloud.log_in("nobody", "guess")
    assert of_admin == costs
    assert len(costs) == 1


def test_a_user_without_a_password_cannot_log_in_with_an_empty_one(cloud: IdentityCloud, admin: str) -> None:
    cloud.call("POST", "/users", {"user": {"name": "locked"}}, token=admin)
    assert cloud.log_in("locked", "", project=None).status_int == 401


def test_login_to_a_project_without_a_role_is_refused(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    answer = cloud.log_in("alice", "alice secret", project="admin")
    assert answer.status_int == 401
    assert "cannot log in to project" in answer.json["error"]["message"]


@pytest.mark.parametrize("method", ["totp", "external", "mapped"])
def test_other_methods_are_refused(cloud: IdentityCloud, method: str) -> None:
    answer = cloud.call("POST", "/auth/tokens", {"auth": {"identity": {"methods": [method], method: {}}}})
    assert answer.status_int == 401
    assert "password, token and application_credential" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"auth": {}},
        {"auth": {"identity": {}}},
        {"auth": {"identity": {"methods": "password"}}},
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "admin", "password": "x"}},
                }
            }
        },
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 7, "password": "x"}}}}},
    ],
)
def test_a_malformed_login_is_a_bad_request(cloud: IdentityCloud, body: object) -> None:
    answer = cloud.call("POST", "/auth/tokens", body)
    assert answer.status_int == 400
    assert answer.json["error"]["title"] == "Bad Request"


def test_a_token_is_issued_for_another_with_another_scope(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    first = cloud.log_in("alice", "alice secret", project=None)
    answer = cloud.call(
        "POST",
        "/auth/tokens",
        {
            "auth": {
                "identity": {"methods": ["token"], "token": {"id": first.headers["X-Subject-Token"]}},
                "scope": {"project": {"name": "red", "domain": {"name": "Default"}}},
            }
        },
    )
    token = answer.json["token"]
    assert answer.status_int == 201
    assert token["methods"] == ["password", "token"]
    assert token["expires_at"] == first.json["token"]["expires_at"]
    assert token["audit_ids"][1] == first.json["token"]["audit_ids"][0]


def test_no_token_is_issued_for_a_hosts_token(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    text = cloud.tokens.issue_for_image(ImageGrant("i", Access.READ, "h1"), project_id=alice[1])
    answer = cloud.call("POST", "/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": text}}}})
    assert answer.status_int == 401


def test_a_token_is_shown_as_at_login(cloud: IdentityCloud) -> None:
    login = cloud.log_in()
    text = login.headers["X-Subject-Token"]
    shown = cloud.call("GET", "/auth/tokens", token=text, headers={"X-Subject-Token": text})
    assert shown.json == login.json
    assert shown.headers["X-Subject-Token"] == text


def test_head_of_a_token_has_no_body(cloud: IdentityCloud, admin: str) -> None:
    answer = cloud.call("HEAD", "/auth/tokens", token=admin, headers={"X-Subject-Token": admin})
    assert (answer.status_int, answer.body) == (200, b"")


def test_another_users_token_is_not_shown_to_a_member(cloud: IdentityCloud, admin: str, mallory: str) -> None:
    answer = cloud.call("GET", "/auth/tokens", token=mallory, headers={"X-Subject-Token": admin})
    assert answer.status_int == 403


def test_another_users_token_is_not_revoked_by_a_member(cloud: IdentityCloud, admin: str, mallory: str) -> None:
    answer = cloud.call("DELETE", "/auth/tokens", token=mallory, headers={"X-Subject-Token": admin})
    assert answer.status_int == 403
    assert cloud.call("GET", "/users", token=admin).status_int == 200


def test_a_service_validates_another_users_token_and_does_not_revoke_it(
    cloud: IdentityCloud, alice: tuple[str, str], admin: str
) -> None:
    cloud.make_user("glance", project="services", role="service", admin=admin)
    service = cloud.token("glance", "glance secret", project="services")
    text = cloud.log_in("alice", "alice secret", project=None).headers["X-Subject-Token"]
    answers = [cloud.call(method, "/auth/tokens", token=service, headers={"X-Subject-Token": text}).status_int
               for method in ("GET", "DELETE", "GET")]
    assert answers == [200, 403, 200]


def test_a_user_who_revokes_very_many_tokens_loses_all_until_now(
    cloud: IdentityCloud, alice: tuple[str, str], admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that logging in and out fills no table, whatever was revoked stays so."""
    monkeypatch.setattr(token_owners, "MAX_REVOKED", 2)
    given = [cloud.log_in("alice", "alice secret", project=None).headers["X-Subject-Token"] for _ in range(4)]
    for text in given[:3]:
        assert cloud.call("DELETE", "/auth/tokens", token=admin, headers={"X-Subject-Token": text}).status_int == 204
    shown = [cloud.call("GET", "/auth/tokens", token=admin, headers={"X-Subject-Token": text}).status_int for text in given]
    assert shown == [404] * 4
    later = cloud.log_in("alice", "alice secret", project=None).headers["X-Subject-Token"]
    assert cloud.call("GET", "/auth/tokens", token=admin, headers={"X-Subject-Token": later}).status_int == 200
    with cloud.database.reader() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(token_owners.RevokedToken)) == 0


def test_an_invalid_subject_token_is_answered_404(cloud: IdentityCloud, admin: str) -> None:
    answer = cloud.call("GET", "/auth/tokens", token=admin, headers={"X-Subject-Token": "nonsense"})
    assert answer.status_int == 404
    assert answer.json["error"]["title"] == "Not Found"


def test_more_logins_than_can_wait_are_503(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    places = passwords._PLACES  # as many callers as may wait
    taken = 0
    while places.acquire(blocking=False):
        taken += 1
    try:
        refused = cloud.log_in("alice", "wrong", project=None)
    finally:
        for _ in range(taken):
            places.release()
    assert (taken, refused.status_int, int(refused.headers["Retry-After"]) > 0) == (18, 503, True)
    assert cloud.log_in("alice", "wrong", project=None).status_int == 401
