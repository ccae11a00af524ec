# SPDX-License-Identifier: Apache-2.0
"""`auth_strategy = keystone` against a real Keystone: which tokens are accepted, and what becomes of their roles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import webob

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.api.wsgi.filters.auth import auth
from nova_lite.api.wsgi.filters.request_id import RequestId
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.context import Context
from nova_lite.db.engine import Database
from tests.support.system.real_keystone import RealKeystone

pytestmark = pytest.mark.timeout(1500)  # the first run installs Keystone
SHOW, CREATE, FORCE = Rule("servers:show", READER), Rule("servers:create", MEMBER), Rule("servers:force", ADMIN)


@dataclasses.dataclass
class Cloud:
    """Our filter behind a real Keystone; `seen` is the last context that an application got."""

    keystone: RealKeystone
    app: Any
    policy: Policy
    seen: list[Context | None]
    project_id: str
    alice_id: str

    def get(self, token: str | None, **headers: str) -> webob.Response:
        """One request; headers by their names with underscores."""
        http = webob.Request.blank("/v2.1/servers")
        http.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        if token is not None:
            http.headers["X-Auth-Token"] = token
        self.seen.clear()
        return http.get_response(self.app)

    def context_of(self, token: str, **headers: str) -> Context:
        """The context that the application got for this token."""
        assert self.get(token, **headers).status_int == 200
        assert self.seen[0] is not None
        return self.seen[0]


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKeystone]:
    made = RealKeystone(tmp_path_factory.mktemp("keystone"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def cloud(keystone: RealKeystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    service_id = keystone.make_project("service")
    keystone.make_user("nova", "service secret", project_id=service_id, role="service")
    red_id = keystone.make_project("red")
    alice_id = keystone.make_user("alice", "alice secret", project_id=red_id, role="member")
    keystone.make_user("rita", "rita secret", project_id=red_id, role="reader")
    directory = tmp_path_factory.mktemp("nova")
    file = directory / "nova.conf"
    file.write_text(
        f"[DEFAULT]\nstate_path = {directory}\n[api]\nauth_strategy = keystone\n"
        f"[keystone]\nauth_url = {keystone.url}\npassword = service secret\ntoken_cache_time = -1\n"
    )
    conf = options.load([], files=[str(file)])
    seen: list[Context | None] = []

    def application(environ: dict[str, Context], start_response: Callable[..., object]) -> list[bytes]:
        seen.append(environ.get("nova.context"))
        start_response("200 OK", [("Content-Length", "0")])
        return []

    database = Database(f"sqlite:///{directory}/unused.sqlite")
    app = RequestId(auth(application, conf=conf, database=database))
    yield Cloud(keystone, app, Policy(conf, [SHOW, CREATE, FORCE]), seen, red_id, alice_id)
    assert not Path(directory, "unused.sqlite").exists()  # with a real Keystone no row of ours is read
    database.close()


def test_a_members_token_gives_his_context_with_implied_roles(cloud: Cloud) -> None:
    ctxt = cloud.context_of(cloud.keystone.log_in("alice", "alice secret", project="red"))
    assert (ctxt.user_id, ctxt.user_name) == (cloud.alice_id, "alice")
    assert (ctxt.project_id, ctxt.project_name) == (cloud.project_id, "red")
    assert ctxt.roles == {"member", "reader"}
    assert ctxt.visible_project == cloud.project_id
    assert ctxt.domain_id == "default"


def test_an_admins_token_makes_an_admin(cloud: Cloud) -> None:
    ctxt = cloud.context_of(cloud.keystone.log_in("admin", "keystone admin secret", project="admin"))
    assert ctxt.is_admin
    assert {"admin", "manager", "member", "reader"} <= ctxt.roles


def test_roles_decide_what_policy_allows(cloud: Cloud) -> None:
    reader = cloud.context_of(cloud.keystone.log_in("rita", "rita secret", project="red"))
    cloud.policy.check(SHOW, reader)
    with pytest.raises(errors.PolicyForbids):
        cloud.policy.check(CREATE, reader)
    member = cloud.context_of(cloud.keystone.log_in("alice", "alice secret", project="red"))
    cloud.policy.check(CREATE, member)
    with pytest.raises(errors.PolicyForbids):
        cloud.policy.check(FORCE, member)


def test_a_bad_token_is_refused_with_the_url_to_log_in_at(cloud: Cloud) -> None:
    answer = cloud.get("nonsense")
    assert answer.status_int == 401
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{cloud.keystone.url}"'
    assert answer.json["error"]["code"] == 401
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert cloud.seen == []


def test_a_revoked_token_is_refused(cloud: Cloud) -> None:
    token = cloud.keystone.log_in("alice", "alice secret", project="red")
    cloud.context_of(token)
    cloud.keystone.revoke(token)
    assert cloud.get(token).status_int == 401


def test_no_token_passes_without_a_context(cloud: Cloud) -> None:
    assert cloud.get(None).status_int == 200
    assert cloud.seen == [None]


def test_identity_headers_of_a_client_are_not_believed(cloud: Cloud) -> None:
    forged = {
        "X_User_Id": "root",
        "X_Roles": "admin",
        "X_Project_Id": "p",
        "X_Identity_Status": "Confirmed",
        "X_User_Name": "root",
        "X_Is_Admin_Project": "True",
    }
    assert cloud.get(None, **forged).status_int == 200
    assert cloud.seen == [None]
    assert cloud.get("nonsense", **forged).status_int == 401
    ctxt = cloud.context_of(cloud.keystone.log_in("alice", "alice secret", project="red"), **forged)
    assert (ctxt.user_id, ctxt.roles) == (cloud.alice_id, frozenset({"member", "reader"}))


def test_an_unscoped_token_gives_no_project_and_no_role(cloud: Cloud) -> None:
    ctxt = cloud.context_of(cloud.keystone.log_in("alice", "alice secret", project=None))
    assert (ctxt.project_id, ctxt.roles) == ("", frozenset())


def test_a_keystone_that_is_gone_is_a_503_and_not_a_free_pass(cloud: Cloud) -> None:
    token = cloud.keystone.log_in("alice", "alice secret", project="red")
    cloud.keystone.stop()  # the last test of this module
    answer = cloud.get(token)
    assert answer.status_int == 503
    assert cloud.seen == []
