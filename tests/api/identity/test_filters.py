# SPDX-License-Identifier: Apache-2.0
"""The filters in front of every API service: authentication, limits, access log; and policy."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import webob

from nova_lite import context
from nova_lite.api.wsgi.filters.auth import LocalAuth
from nova_lite.api.wsgi.filters.request_id import RequestId
from nova_lite.api.wsgi.filters.size_limit import SizeLimit
from tests.support.api.identity_cloud import LIMIT, IdentityCloud


def test_no_token_is_unauthorized(cloud: IdentityCloud) -> None:
    answer = cloud.call("GET", "/auth/projects")
    assert answer.status_int == 401
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_an_invalid_token_is_refused_even_by_public_routes(cloud: IdentityCloud) -> None:
    answer = cloud.call("GET", "/", token="bad")
    assert answer.status_int == 401
    assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://cloud/identity/v3"'
    assert answer.json == {
        "error": {
            "code": 401,
            "title": "Unauthorized",
            "message": "The request you have made requires authentication.",
        }
    }


def test_identity_headers_of_a_client_are_ignored(cloud: IdentityCloud, mallory: str) -> None:
    forged = {
        "X-User-Id": "root",
        "X-Roles": "admin",
        "X-Role": "admin",
        "X-Project-Id": "p",
        "X-Is-Admin-Project": "True",
        "X-Identity-Status": "Confirmed",
        "X-User-Name": "admin",
    }
    assert cloud.call("GET", "/users", headers=forged).status_int == 401
    assert cloud.call("GET", "/users", headers=forged, token=mallory).status_int == 403


def test_an_expired_token_is_refused(cloud: IdentityCloud) -> None:
    text = cloud.token()
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 200
    cloud.clock.added = 3600.1
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401
    cloud.clock.added = 0.0


def test_a_revoked_token_is_invalid_within_five_seconds(cloud: IdentityCloud, forget: Callable[[], None]) -> None:
    text = cloud.token()
    assert cloud.call("GET", "/users", token=text).status_int == 200
    assert cloud.call("DELETE", "/auth/tokens", token=text, headers={"X-Subject-Token": text}).status_int == 204
    forget()
    assert cloud.call("GET", "/users", token=text).status_int == 401


def test_tokens_of_a_disabled_user_are_invalid_within_five_seconds(
    cloud: IdentityCloud, admin: str, forget: Callable[[], None]
) -> None:
    user_id, _ = cloud.make_user("bob", project="red", role="member", admin=admin)
    text = cloud.token("bob", "bob secret", project="red")
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 200
    cloud.call("PATCH", f"/users/{user_id}", {"user": {"enabled": False}}, token=admin)
    forget()
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401
    assert cloud.log_in("bob", "bob secret", project="red").status_int == 401


def test_tokens_of_a_disabled_user_stay_invalid_when_the_user_is_enabled_again(
    cloud: IdentityCloud, admin: str, forget: Callable[[], None]
) -> None:
    user_id, _ = cloud.make_user("bess", project="red", role="member", admin=admin)
    text = cloud.token("bess", "bess secret", project="red")
    cloud.call("PATCH", f"/users/{user_id}", {"user": {"enabled": False}}, token=admin)
    cloud.call("PATCH", f"/users/{user_id}", {"user": {"enabled": True}}, token=admin)
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401
    assert cloud.log_in("bess", "bess secret", project="red").status_int == 201


def test_a_disabled_project_refuses_its_tokens(cloud: IdentityCloud, admin: str, forget: Callable[[], None]) -> None:
    _, project_id = cloud.make_user("carl", project="closing", role="member", admin=admin)
    text = cloud.token("carl", "carl secret", project="closing")
    cloud.call("PATCH", f"/projects/{project_id}", {"project": {"enabled": False}}, token=admin)
    forget()
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401
    assert cloud.log_in("carl", "carl secret", project="closing").status_int == 401


def test_a_token_is_invalid_when_its_user_has_no_role_any_more(
    cloud: IdentityCloud, admin: str, forget: Callable[[], None]
) -> None:
    user_id, project_id = cloud.make_user("dora", project="red", role="member", admin=admin)
    text = cloud.token("dora", "dora secret", project="red")
    role_id = cloud.call("GET", "/roles?name=member", token=admin).json["roles"][0]["id"]
    path = f"/projects/{project_id}/users/{user_id}/roles/{role_id}"
    assert cloud.call("DELETE", path, token=admin).status_int == 204
    forget()
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401


@pytest.mark.parametrize("change", ["role", "project"])
def test_a_token_that_a_lost_role_or_a_disabled_project_has_ended_stays_invalid(
    cloud: IdentityCloud, admin: str, forget: Callable[[], None], change: str
) -> None:
    name, project = f"fay {change}", f"green {change}"
    user_id, project_id = cloud.make_user(name, project=project, role="member", admin=admin)
    text = cloud.token(name, f"{name} secret", project=project)
    role_id = cloud.call("GET", "/roles?name=member", token=admin).json["roles"][0]["id"]
    path = f"/projects/{project_id}/users/{user_id}/roles/{role_id}"
    if change == "role":
        steps = [cloud.call(method, path, token=admin).status_int for method in ("DELETE", "PUT")]
    else:
        steps = [cloud.call("PATCH", f"/projects/{project_id}", {"project": {"enabled": enabled}}, token=admin).status_int
                 for enabled in (False, True)]
    assert steps in ([204, 204], [200, 200])
    forget()
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401
    assert cloud.log_in(name, f"{name} secret", project=project).status_int == 201


def test_a_changed_password_invalidates_tokens_and_the_old_password(
    cloud: IdentityCloud, admin: str, forget: Callable[[], None]
) -> None:
    user_id, _ = cloud.make_user("eve", project="red", role="member", admin=admin)
    text = cloud.token("eve", "eve secret", project="red")
    change = {"user": {"password": "new secret", "original_password": "eve secret"}}
    assert cloud.call("POST", f"/users/{user_id}/password", change, token=text).status_int == 204
    forget()
    assert cloud.call("GET", "/auth/projects", token=text).status_int == 401
    assert cloud.log_in("eve", "eve secret", project="red").status_int == 401
    assert cloud.log_in("eve", "new secret", project="red").status_int == 201


def test_a_password_is_not_changed_without_the_old_one(cloud: IdentityCloud, alice: tuple[str, str]) -> None:
    text = cloud.token("alice", "alice secret", project="red")
    change = {"user": {"password": "new secret", "original_password": "guess"}}
    assert cloud.call("POST", f"/users/{alice[0]}/password", change, token=text).status_int == 401
    assert cloud.log_in("alice", "alice secret", project="red").status_int == 201


@pytest.mark.parametrize("who", ["nobody", "another"])
def test_a_password_is_changed_by_who_knows_the_old_one(cloud: IdentityCloud, admin: str, mallory: str, who: str) -> None:
    user_id, _ = cloud.make_user(f"peg {who}", project="red", role="member", admin=admin)
    change = {"user": {"password": "new secret", "original_password": f"peg {who} secret"}}
    token = mallory if who == "another" else ""
    assert [cloud.call("POST", f"/users/{user_id}/password", change, token=token).status_int for _ in range(2)] == [204, 401]
    assert cloud.log_in(f"peg {who}", "new secret", project="red").status_int == 201


def test_a_refused_change_of_a_password_does_not_say_why(cloud: IdentityCloud, admin: str, alice: tuple[str, str]) -> None:
    disabled, _ = cloud.make_user("ned", project="red", role="member", admin=admin)
    cloud.call("PATCH", f"/users/{disabled}", {"user": {"enabled": False}}, token=admin)
    answers = [cloud.call("POST", f"/users/{user_id}/password", {"user": {"password": "new", "original_password": secret}})
               for user_id, secret in ((alice[0], "guess"), ("0" * 32, "guess"), (disabled, "ned secret"))]
    assert {(answer.status_int, answer.body) for answer in answers} == {(401, answers[0].body)}


def test_every_response_has_a_request_id_errors_too(cloud: IdentityCloud) -> None:
    answers = [cloud.call("GET", "/"), cloud.call("GET", "/users"), cloud.call("GET", "/", token="bad")]
    ids = {answer.headers["x-openstack-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all(answer.headers["x-compute-request-id"] in ids for answer in answers)


def test_a_request_is_logged_once_without_line_feeds_of_the_client(
    cloud: IdentityCloud, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nova_lite.api.wsgi.filters.request_id"):
        assert cloud.call("GET", "/users%0aforged?x=%0a").body  # the line is written after the body
    lines = [record.getMessage() for record in caplog.records if record.name == "nova_lite.api.wsgi.filters.request_id"]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "status: 400" in lines[0]


def test_a_body_above_the_limit_is_refused_unread(cloud: IdentityCloud) -> None:
    http = webob.Request.blank("http://cloud/identity/v3/auth/tokens", method="POST")
    http.environ["CONTENT_LENGTH"] = str(100 * 1024**2)
    http.environ["wsgi.input"] = None  # reading it would fail
    answer = http.get_response(cloud.app)
    assert answer.status_int == 413
    assert str(LIMIT) in answer.json["error"]["message"]


def _chunked(path: str, body: bytes, *, method: str = "POST") -> webob.Request:
    http = webob.Request.blank(path, method=method, body=body)
    del http.environ["CONTENT_LENGTH"]
    http.environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    return http


def _echo(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
    body = webob.Request(environ).body
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def test_a_chunked_body_above_the_limit_is_refused() -> None:
    app = SizeLimit(_echo, limit=10)
    assert _chunked("/", b"x" * 11).get_response(app).status_int == 413
    assert _chunked("/", b"x" * 10).get_response(app).body == b"x" * 10


def test_only_uploads_may_exceed_the_limit() -> None:
    app = SizeLimit(_echo, limit=10, upload_suffix="/file")
    assert len(_chunked("/images/1/file", b"x" * 99, method="PUT").get_response(app).body) == 99
    assert webob.Request.blank("/images/1/file", method="PUT", body=b"x" * 99).get_response(app).status_int == 200
    assert webob.Request.blank("/images/1/file", method="POST", body=b"x" * 99).get_response(app).status_int == 413
    assert webob.Request.blank("/images/1", method="PUT", body=b"x" * 99).get_response(app).status_int == 413


def test_a_policy_file_overrides_while_the_api_runs(cloud: IdentityCloud, mallory: str, policy_file: Path) -> None:
    assert cloud.call("GET", "/roles", token=mallory).status_int == 403
    policy_file.write_text('"identity:list_roles": "role:member"\n')
    assert cloud.call("GET", "/roles", token=mallory).status_int == 200
    policy_file.unlink()
    assert cloud.call("GET", "/roles", token=mallory).status_int == 403


def test_a_decision_by_more_than_roles_is_not_cached_for_others(
    cloud: IdentityCloud, admin: str, mallory: str, policy_file: Path
) -> None:
    policy_file.write_text('"identity:list_roles": "user_id:somebody or role:admin and not role:none"\n')
    assert cloud.call("GET", "/roles", token=admin).status_int == 200
    assert cloud.call("GET", "/roles", token=mallory).status_int == 403


def test_an_invalid_policy_file_leaves_the_previous_rules(
    cloud: IdentityCloud, admin: str, mallory: str, policy_file: Path
) -> None:
    policy_file.write_text('"identity:list_roles": "role:member"\n')
    assert cloud.call("GET", "/roles", token=mallory).status_int == 200
    policy_file.write_text("{ not: [yaml\n")
    os.utime(policy_file, (1, 1))
    assert cloud.call("GET", "/roles", token=mallory).status_int == 200
    assert cloud.call("GET", "/users", token=mallory).status_int == 403


def test_a_context_has_the_clients_request_id(cloud: IdentityCloud, admin: str) -> None:
    captured: dict[str, context.Context] = {}

    def app(environ: dict[str, context.Context], start_response: Callable[..., object]) -> list[bytes]:
        captured["context"] = environ["nova.context"]
        start_response("200 OK", [])
        return []

    outer = RequestId(LocalAuth(app, cloud.database, cloud.tokens))
    global_id = context.new_request_id()
    http = webob.Request.blank("/", headers={"X-Auth-Token": admin, "X-OpenStack-Request-Id": global_id})
    answer = http.get_response(outer)
    assert captured["context"].global_request_id == global_id
    assert captured["context"].request_id == answer.headers["x-openstack-request-id"] != global_id
    assert captured["context"].is_admin
    http.headers["X-OpenStack-Request-Id"] = "req-not\na-uuid"
    http.get_response(outer)
    assert captured["context"].global_request_id == ""


@pytest.mark.parametrize(("method", "query", "line"), [
    ("GET", "name=a%20b&marker=x:y/z", '"GET /servers?name=a%20b&marker=x:y/z"'),
    ("GET", "name=\x1b[2J\x1b]0;owned\x07", '"GET /servers?name=%1B[2J%1B]0;owned%07"'),
    ("GE\x1bT", "", '"GE%1BT /servers"'), ("GET", 'a"\r\nb\x9b', '"GET /servers?a%22%0D%0Ab%C2%9B"'),
])
def test_the_access_log_has_no_control_characters_of_clients(caplog: pytest.LogCaptureFixture, method: str, query: str, line: str) -> None:
    def app(_environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [])
        return []

    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/servers", "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.1"}
    with caplog.at_level(logging.INFO):
        RequestId(app)(environ, lambda *_arguments: None).close()  # type: ignore[attr-defined]
    assert caplog.records[-1].getMessage().startswith(f"192.0.2.1 {line} status: ")
