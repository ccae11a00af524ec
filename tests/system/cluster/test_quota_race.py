# SPDX-License-Identifier: Apache-2.0
"""The compute API on real PostgreSQL and MariaDB: simultaneous requests against one quota, and reads in pieces."""

from __future__ import annotations

import contextlib
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
from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS
from tools.lib.services import MariaDB, Postgres

AT_ONCE, LIMIT = 8, 3


@pytest.fixture(scope="module", params=[Postgres, MariaDB], ids=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres | MariaDB]:
    with request.param(tmp_path_factory.mktemp("database")) as running:
        yield running


@contextlib.contextmanager
def _database(server: Postgres | MariaDB, name: str) -> Iterator[Database]:
    made = Database(server.create_database(name))
    Base.metadata.create_all(made.engine)
    yield made
    made.close()
    server.drop_database(name)


@pytest.fixture
def api(server: Postgres | MariaDB, tmp_path: Path) -> Iterator[ComputeApi]:
    conf = options.load([], conf=cfg.ConfigOpts(), files=[])
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    with _database(server, "race") as database:
        yield compute_api.furnish(ComputeApi(database, conf))


@pytest.fixture(scope="module")
def cloud(server: Postgres | MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkCloud]:
    """A project with a network and a subnet, and the default group with its rules; an external network."""
    with _database(server, "networks") as database:
        made = NetworkCloud(tmp_path_factory.mktemp("networks"), database=database)
        made.network()
        made.network(cidr="172.24.4.0/24", user="admin", **{"router:external": True})
        yield made
        made.close()


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


def test_keypairs_and_server_groups_made_at_once_do_not_pass_their_quotas(api: ComputeApi) -> None:
    api.conf.set_override("key_pairs", LIMIT, group="quota")
    api.conf.set_override("server_groups", LIMIT, group="quota")

    def make(number: int) -> tuple[int, int]:
        return (api.post("/os-keypairs", {"keypair": {"name": f"k{number}"}}, version="2.1").status,
                api.post("/os-server-groups", {"server_group": {"name": f"g{number}", "policy": "affinity"}}, version="2.64").status)

    with futures.ThreadPoolExecutor(AT_ONCE) as threads:
        keypairs, groups = zip(*threads.map(make, range(AT_ONCE)), strict=True)
    assert sorted(keypairs) == [200] * LIMIT + [403] * (AT_ONCE - LIMIT)
    assert sorted(groups) == [200] * LIMIT + [403] * (AT_ONCE - LIMIT)


@pytest.mark.parametrize("resource", [
    "networks", "subnets", "ports", "security_groups", "security_group_rules", "routers", "floating_ips"])
def test_network_resources_made_at_once_do_not_pass_their_quotas(cloud: NetworkCloud, resource: str) -> None:
    group_id = cloud.get("/security-groups").body["security_groups"][0]["id"]
    network_id, outside = (
        str(cloud.get(f"/networks?router:external={is_external}").body["networks"][0]["id"]) for is_external in (False, True))
    path = {"floating_ips": "floatingips"}.get(resource, resource)
    used = [row for row in cloud.get(f"/{path.replace('_', '-')}").body[path] if row["project_id"] == PROJECTS["alice"]]
    cloud.conf.set_override(resource, len(used) + LIMIT, group="quota")

    def make(number: int) -> int:
        fields: dict[str, dict[str, object]] = {
            "networks": {}, "subnets": {"network_id": network_id, "cidr": f"10.{number + 1}.0.0/24"},
            "ports": {"network_id": network_id}, "security_groups": {"name": f"g{number}"},
            "security_group_rules": {"security_group_id": group_id, "direction": "ingress", "protocol": "tcp",
                                     "port_range_min": number + 1, "port_range_max": number + 1},
            "routers": {}, "floating_ips": {"floating_network_id": outside}}
        return cloud.create(path.removesuffix("s"), **fields[resource]).status

    with futures.ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(make, range(AT_ONCE)))
    assert sorted(answers) == [201] * LIMIT + [409] * (AT_ONCE - LIMIT)


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
