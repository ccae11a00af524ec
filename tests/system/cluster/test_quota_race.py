# SPDX-License-Identifier: Apache-2.0
"""The compute API on real PostgreSQL and MariaDB: simultaneous requests against one quota, and reads in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite.db.base import Base, utcnow
from nova_lite.db.compute import usage
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.engine import Database
from nova_lite.db.quotas.quotas import Quota
from nova_lite.rpc.compute import ConsoleAddress
from tests.support.api import compute_api
from tests.support.api.compute_api import SERVER, ComputeApi, host, settle
from tests.support.api.users import PROJECTS
from tools.lib.services import MariaDB, Postgres

AT_ONCE, LIMIT = 8, 3


@pytest.fixture(scope="module", params=[Postgres, MariaDB], ids=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres | MariaDB]:
    with request.param(tmp_path_factory.mktemp("database")) as running:
        yield running


@pytest.fixture
def api(server: Postgres | MariaDB, tmp_path: Path) -> Iterator[ComputeApi]:
    database = Database(server.create_database("race"))
    Base.metadata.create_all(database.engine)
    conf = options.load([], conf=cfg.ConfigOpts(), files=[])
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    yield compute_api.furnish(ComputeApi(database, conf))
    database.close()
    server.drop_database("race")


def test_boots_at_once_do_not_pass_the_quota_together(api: ComputeApi) -> None:
    api.add(Quota(project_id=PROJECTS["alice"], resource="instances", hard_limit=LIMIT))
    with futures.ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(lambda _: api.post("/servers", {"server": SERVER}).status, range(AT_ONCE)))
    assert sorted(answers) == [202] * LIMIT + [403] * (AT_ONCE - LIMIT)


def test_resizes_at_once_do_not_pass_the_quota_together(api: ComputeApi) -> None:
    api.add(Flavor(id="2", name="large", vcpus=2, ram_mb=64, root_gb=1), *host("h1"),
            Quota(project_id=PROJECTS["alice"], resource="cores", hard_limit=4))
    ids = [str(api.post("/servers", {"server": SERVER}).body["server"]["id"]) for _ in range(3)]
    for server_id in ids:
        settle(api, server_id)
    with futures.ThreadPoolExecutor(len(ids)) as threads:
        answers = list(threads.map(
            lambda one: api.post(f"/servers/{one}/action", {"resize": {"flavorRef": "2"}}).status, ids))
    assert sorted(answers) == [202, 403, 403]


def test_consoles_opened_at_once_do_not_pass_their_limit_together(api: ComputeApi) -> None:
    api.add(*host("h1"))
    server_id = str(api.post("/servers", {"server": SERVER}).body["server"]["id"])
    settle(api, server_id)
    api.conf.set_override("max_tokens_per_project", LIMIT, group="consoleauth")
    api.rpc.answers["open_console"] = ConsoleAddress(host="192.0.2.9", port=4321)
    console = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    with futures.ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(
            lambda _: api.post(f"/servers/{server_id}/remote-consoles", console, version="2.6").status, range(AT_ONCE)))
    assert sorted(answers) == [200] * LIMIT + [403] * (AT_ONCE - LIMIT)


def test_usage_of_more_servers_than_are_read_at_once(api: ComputeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "BATCH", 2)
    for user in ("alice", "bob"):
        for _ in range(3):
            settle(api, str(api.post("/servers", {"server": SERVER}, user=user).body["server"]["id"]), launched_at=utcnow())
    path = "/os-simple-tenant-usage?detailed=1&end=2999-01-01T00:00:00"
    of_all = api.get(path, user="admin").body["tenant_usages"]
    assert {one["tenant_id"]: len(one["server_usages"]) for one in of_all} == {PROJECTS["alice"]: 3, PROJECTS["bob"]: 3}
    own = api.get(f"/os-simple-tenant-usage/{PROJECTS['alice']}?end=2999-01-01T00:00:00").body["tenant_usage"]
    assert len(own["server_usages"]) == 3
