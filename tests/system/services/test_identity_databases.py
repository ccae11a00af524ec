# SPDX-License-Identifier: Apache-2.0
"""The identity API on real PostgreSQL and MariaDB: what SQLite would forgive or order differently."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest
import webob

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


def test_attributes_and_tags_that_are_added_at_once_are_all_kept(cloud: IdentityCloud) -> None:
    admin = cloud.token()
    path = f"/projects/{cloud.make_user('alice', project='red', role='member', admin=admin)[1]}"
    writes = [("PATCH", path, {"project": {f"a{number}": number, "options": {}}}) for number in range(8)]
    writes += [("PUT", f"{path}/tags/t{number}", None) for number in range(8)]
    with futures.ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda write: cloud.call(*write, token=admin).status_int, writes))
    shown = cloud.call("GET", path, token=admin).json["project"]
    assert sorted(statuses) == [200] * 8 + [201] * 8
    assert ({shown[f"a{number}"] for number in range(8)}, set(shown["tags"])) == (set(range(8)), {f"t{number}" for number in range(8)})
    found = cloud.call("GET", "/projects?tags=t1,t7&not-tags-any=t8", token=admin).json["projects"]
    assert [project["name"] for project in found] == ["red"]


def test_application_credentials_are_bounded_when_they_are_made_at_once_and_go_with_the_role(cloud: IdentityCloud) -> None:
    admin = cloud.token()
    user_id, project_id = cloud.make_user("alice", project="red", role="member", admin=admin)
    token = cloud.token("alice", "alice secret", project="red")
    path = f"/users/{user_id}/application_credentials"
    cloud.conf.set_override("application_credentials_per_user", 2, group="identity")

    def create(number: int) -> webob.Response:
        return cloud.call("POST", path, {"application_credential": {"name": f"c{number}"}}, token=token)

    with futures.ThreadPoolExecutor(5) as clients:
        answers = list(clients.map(create, range(5)))
    assert sorted(answer.status_int for answer in answers) == [201, 201, 403, 403, 403]
    made = next(answer.json["application_credential"] for answer in answers if answer.status_int == 201)
    login = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": made["id"], "secret": made["secret"]}}}}
    assert cloud.call("POST", "/auth/tokens", login).json["token"]["application_credential"]["id"] == made["id"]
    role = cloud.call("GET", "/roles?name=member", token=admin).json["roles"][0]["id"]
    assert cloud.call("DELETE", f"/projects/{project_id}/users/{user_id}/roles/{role}", token=admin).status_int == 204
    assert cloud.call("GET", path, token=admin).json["application_credentials"] == []
    assert cloud.call("POST", "/auth/tokens", login).status_int == 401


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
