# SPDX-License-Identifier: Apache-2.0
"""The identity API on real PostgreSQL and MariaDB: what SQLite would forgive or order differently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.db.base import Base
from nova_lite.db.engine import Database
from nova_lite.db.identity import users
from tests.support.api.identity_cloud import ADMIN_PASSWORD, IdentityCloud
from tools.lib.services import MariaDB, Postgres


@pytest.fixture(scope="module", params=[Postgres, MariaDB], ids=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres | MariaDB]:
    with request.param(tmp_path_factory.mktemp("database")) as running:
        yield running


@pytest.fixture
def cloud(server: Postgres | MariaDB, tmp_path: Path) -> Iterator[IdentityCloud]:
    database = Database(server.create_database("identity"))
    Base.metadata.create_all(database.engine)
    made = IdentityCloud(tmp_path, database=database)
    yield made
    made.database.close()
    server.drop_database("identity")


def test_a_user_lives_logs_in_and_goes(cloud: IdentityCloud) -> None:
    admin = cloud.token()
    user_id, project_id = cloud.make_user("alice", project="red", role="member", admin=admin)
    login = cloud.log_in("alice", "alice secret", project="red")
    assert {role["name"] for role in login.json["token"]["roles"]} == {"member", "reader"}
    changed = {"user": {"description": "Zoë 🦊", "email": None}}
    shown = cloud.call("PATCH", f"/users/{user_id}", changed, token=admin)
    assert shown.json["user"]["description"] == "Zoë 🦊"
    assert cloud.call("DELETE", f"/projects/{project_id}", token=admin).status_int == 204
    assert cloud.call("DELETE", f"/users/{user_id}", token=admin).status_int == 204


def test_a_taken_name_is_a_conflict(cloud: IdentityCloud) -> None:
    admin = cloud.token()
    user_id, _ = cloud.make_user("alice", project="red", role="member", admin=admin)
    assert cloud.call("POST", "/users", {"user": {"name": "alice"}}, token=admin).status_int == 409
    assert cloud.call("PATCH", f"/users/{user_id}", {"user": {"name": "admin"}}, token=admin).status_int == 409


def test_times_are_kept_finely_enough_to_distinguish_old_tokens_from_new(cloud: IdentityCloud) -> None:
    admin = cloud.token()
    user_id, _ = cloud.make_user("alice", project="red", role="member", admin=admin)
    old = cloud.token("alice", "alice secret", project="red")
    cloud.call("PATCH", f"/users/{user_id}", {"user": {"enabled": False}}, token=admin)
    cloud.call("PATCH", f"/users/{user_id}", {"user": {"enabled": True}}, token=admin)
    new = cloud.token("alice", "alice secret", project="red")
    assert cloud.call("GET", "/auth/projects", token=old).status_int == 401
    assert cloud.call("GET", "/auth/projects", token=new).status_int == 200


def test_a_revoked_token_is_refused(cloud: IdentityCloud) -> None:
    token = cloud.token()
    assert cloud.call("DELETE", "/auth/tokens", token=token, headers={"X-Subject-Token": token}).status_int == 204
    cloud.clock.added = 5.1
    assert cloud.call("GET", "/auth/projects", token=token).status_int == 401


def test_bootstrap_done_again_changes_nothing(cloud: IdentityCloud) -> None:
    with cloud.database.writer() as session:
        users.bootstrap(session, "another password")
    assert cloud.log_in(password=ADMIN_PASSWORD).status_int == 201


def test_a_database_that_is_gone_is_a_503_that_names_it(cloud: IdentityCloud, server: Postgres | MariaDB) -> None:
    token = cloud.token()
    server.stop()
    try:
        answer = cloud.call("GET", "/auth/projects", token=token)
        assert answer.status_int == 503
        assert "database" in answer.json["error"]["message"]
    finally:
        server.start()
