# SPDX-License-Identifier: Apache-2.0
"""Many requests of one project at the same moment, on real databases: as many pass as the quota allows, and no write is lost."""

from __future__ import annotations

import datetime
import functools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
import webob
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.request import Parts
from nova_lite.context import ADMIN, MEMBER, Context, expand_roles
from nova_lite.db.base import Base, utcnow
from nova_lite.db.compute import consoles, servers
from nova_lite.db.compute.consoles import ConsoleToken
from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.network.networks import Network, Subnet
from nova_lite.db.quotas.quotas import Quota
from nova_lite.values.flavor import Flavor
from tests.support import databases
from tests.support.api.compute_api import Rpc

AT_ONCE, ROOM = 16, 3
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPHYQbtJIs1rC8zXzTKRAeYN1DoUHxkDGKHTWtvGGHHr a"
PROJECTS = [f"several-{number}" for number in range(6)]
EXTERNAL, OWN, SECOND = ("0" * 7 + f"{number}-0000-4000-8000-000000000000" for number in (1, 2, 3))


class Cloud:
    """The API's services over one database, with connections for all clients."""

    def __init__(self, url: str, directory: Path) -> None:
        self.database = Database(url, pool_size=AT_ONCE)
        Base.metadata.create_all(self.database.engine)
        conf = options.load([], conf=cfg.ConfigOpts(), files=[])
        conf.set_override("state_path", str(directory))
        conf.set_override("policy_file", str(directory / "policy.yaml"), group="oslo_policy")
        parts = Parts(conf, self.database, cast(Any, Rpc()))
        self._apps = {name: Application(service, parts, Policy(conf, service.rules)) for name, service in SERVICES.items()}

    def post(self, project_id: str, service: str, path: str, body: Any) -> int:
        return int(self.request("POST", project_id, service, path, body).status_int)

    def request(self, method: str, project_id: str, service: str, path: str, body: Any = None) -> webob.Response:
        http = webob.Request.blank(path, method=method, base_url="http://cloud/root")
        if body is not None:
            http.body, http.content_type = json.dumps(body).encode(), "application/json"
        http.headers["OpenStack-API-Version"] = "compute 2.64"
        role = ADMIN if project_id == "admin" else MEMBER
        http.environ["nova.context"] = Context(user_id=project_id, project_id=project_id, roles=expand_roles({role}))
        return http.get_response(self._apps[service])

    def server(self, project_id: str, **columns: Any) -> str:
        flavor = Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1)
        with self.database.writer() as session:
            server = Server(**{"project_id": project_id, "user_id": "u", "name": "s", "hostname": "s", "flavor": flavor, "vcpus": 1,
                               "ram_mb": 1, "total_gb": 1, "vm_state": "active", "task_state": None, "reservation_id": "r-1",
                               **columns})
            session.add(server)
            session.flush()
            return server.id

    def used(self, project_id: str, **limits: int) -> None:
        with self.database.writer() as session:
            session.add_all([Quota(project_id=project_id, resource=name, hard_limit=limit) for name, limit in limits.items()])


@pytest.fixture(scope="module", params=databases.ALL_KINDS)
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp(request.param)
    with databases.running(request.param, directory) as url:
        made = Cloud(url, directory)
        _furnish(made)
        yield made
        made.database.close()


def _furnish(cloud: Cloud) -> None:
    """An external network for all, and a project's own with addresses."""
    with cloud.database.writer() as session:
        session.add_all([
            Network(id=EXTERNAL, project_id="admin", name="ext", segment=1, mtu=1450, is_external=True, subnets=[Subnet(
                project_id="admin", cidr="198.51.100.0/24", gateway="198.51.100.1", pools=[["198.51.100.2", "198.51.100.254"]])]),
            Network(id=OWN, project_id="ports", name="own", segment=2, mtu=1450, subnets=[Subnet(
                project_id="ports", cidr="10.0.0.0/24", gateway="10.0.0.1", pools=[["10.0.0.2", "10.0.0.254"]])]),
            Network(id=SECOND, project_id="subnets", name="n", segment=3, mtu=1450)])
    for project_id in ("admin", *PROJECTS):
        cloud.used(project_id, **dict.fromkeys(
            ("networks", "subnets", "ports", "routers", "security_groups", "security_group_rules", "floating_ips"), -1))


# By quota: the service, the path, the body of request `number`, and how many the project has before.
REQUESTS: dict[str, tuple[str, str, Callable[[int], Any], int]] = {
    "networks": ("network", "/networks", lambda number: {"network": {"name": f"n{number}"}}, 0),
    "subnets": ("network", "/subnets", lambda number: {"subnet": {
        "network_id": SECOND, "ip_version": 4, "cidr": f"10.1.{number}.0/24"}}, 0),
    "ports": ("network", "/ports", lambda _: {"port": {"network_id": OWN}}, 0),
    "routers": ("network", "/routers", lambda number: {"router": {"name": f"r{number}"}}, 0),
    "security_groups": ("network", "/security-groups", lambda number: {"security_group": {"name": f"g{number}"}}, 1),
    "floating_ips": ("network", "/floatingips", lambda _: {"floatingip": {"floating_network_id": EXTERNAL}}, 0),
    "key_pairs": ("compute", "/os-keypairs", lambda number: {"keypair": {"name": f"k{number}", "public_key": KEY}}, 0),
    "server_groups": ("compute", "/os-server-groups", lambda number: {"server_group": {"name": f"g{number}", "policy": "affinity"}}, 0),
    "image_count_total": ("image", "/images", lambda number: {"name": f"i{number}"}, 0),
}


@pytest.mark.parametrize("quota", REQUESTS)
def test_exactly_the_quota_passes(cloud: Cloud, quota: str) -> None:
    service, path, body, before = REQUESTS[quota]
    cloud.used(quota, **{quota: ROOM + before})
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(lambda number: cloud.post(quota, service, path, body(number)), range(AT_ONCE)))
    made = [status for status in statuses if status in (200, 201)]
    assert len(made) == ROOM, sorted(statuses)
    assert {status for status in statuses if status not in (200, 201)} <= {403, 409, 413}


def test_a_server_keeps_its_newest_console_tokens(cloud: Cloud) -> None:
    server_id = cloud.server("p")
    now = utcnow()

    def issue(number: int) -> None:
        with cloud.database.writer() as session:
            session.refresh(servers.get(session, server_id), with_for_update=True)
            consoles.add(session, ConsoleToken(
                token_hash=consoles.digest(str(number)), server_id=server_id, type="novnc", host="h", port=1,
                expires_at=now + datetime.timedelta(seconds=600)), now=now)

    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(issue, range(60)))
    with cloud.database.reader() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ConsoleToken)) == consoles.MAX_OF_SERVER


@pytest.mark.parametrize("what", ["metadata", "tags"])
def test_every_item_that_is_written_at_once_is_kept(cloud: Cloud, what: str) -> None:
    server_id = cloud.server("items", metadata_items={"old": "v"}, tags=["old"])

    def write(number: int) -> int:
        if what == "tags":
            return int(cloud.request("PUT", "items", "compute", f"/servers/{server_id}/tags/t{number}").status_int)
        return cloud.post("items", "compute", f"/servers/{server_id}/metadata", {"metadata": {f"k{number}": "v"}})

    def remove(_: int) -> int:
        return int(cloud.request("DELETE", "items", "compute", f"/servers/{server_id}/{what}/old").status_int)

    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = set(pool.map(lambda number: remove(number) if number == 5 else write(number), range(12)))
    assert statuses <= {200, 201, 204}
    kept = cloud.request("GET", "items", "compute", f"/servers/{server_id}/{what}").json[what]
    assert len(kept) == 11
    assert "old" not in kept


def _made(cloud: Cloud, plural: str, items: list[dict[str, Any]]) -> list[str]:
    """What an admin makes of these by one request: their ids."""
    made = cloud.request("POST", "admin", "network", f"/{plural.replace('_', '-')}", {plural: items})
    assert made.status_int == 201, made.text
    return [row["id"] for row in made.json[plural]]


def _at_once(calls: list[Callable[[], webob.Response]]) -> list[int]:
    """The statuses of requests that begin at the same moment."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], webob.Response]) -> int:
        start.wait(60)
        return int(call().status_int)

    with futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def _networks(cloud: Cloud) -> list[str]:
    return _made(cloud, "networks", [{"project_id": project_id} for project_id in PROJECTS])


def _groups(cloud: Cloud) -> list[str]:
    return _made(cloud, "security_groups", [{"project_id": project_id, "name": "g"} for project_id in PROJECTS])


# By what is made: the items of request `number`, one in each of several projects, and what they need.
LISTS: dict[str, tuple[Callable[[Cloud], list[str]], Callable[[str, str, int], dict[str, Any]]]] = {
    "networks": (lambda _: PROJECTS, lambda project_id, _, __: {"project_id": project_id}),
    "subnets": (_networks, lambda _, network_id, number: {"network_id": network_id, "cidr": f"10.{number}.0.0/24"}),
    "ports": (lambda _: PROJECTS, lambda project_id, _, __: {"project_id": project_id, "network_id": OWN}),
    "routers": (lambda _: PROJECTS, lambda project_id, _, __: {"project_id": project_id}),
    "security_groups": (lambda _: PROJECTS, lambda project_id, _, __: {"project_id": project_id, "name": "g"}),
    "security_group_rules": (_groups, lambda _, group_id, number: {
        "security_group_id": group_id, "direction": "ingress", "protocol": "tcp", "port_range_min": number + 1, "port_range_max": number + 1}),
    "floatingips": (lambda _: PROJECTS, lambda project_id, _, __: {"project_id": project_id, "floating_network_id": EXTERNAL}),
}


@pytest.mark.parametrize("plural", LISTS)
def test_lists_in_opposite_orders_wait_in_one_order(cloud: Cloud, plural: str) -> None:
    needs, item = LISTS[plural]
    needed = needs(cloud)

    def post(number: int) -> webob.Response:
        items = [item(project_id, one, number) for project_id, one in zip(PROJECTS, needed, strict=True)]
        return cloud.request("POST", "admin", "network", f"/{plural.replace('_', '-')}", {plural: items if number % 2 else items[::-1]})

    for first in (0, 4, 8):
        assert _at_once([functools.partial(post, number) for number in range(first, first + 4)]) == [201] * 4


def test_groups_that_name_each_other_are_deleted_at_once(cloud: Cloud) -> None:
    for _ in range(5):
        groups = _made(cloud, "security_groups", [{"name": "one"}, {"name": "other"}])
        _made(cloud, "security_group_rules", [
            {"security_group_id": group, "remote_group_id": remote, "direction": "ingress", "protocol": protocol}
            for group, remote in (groups, groups[::-1]) for protocol in ("tcp", "udp", "icmp")])
        deletes = [functools.partial(cloud.request, "DELETE", "admin", "network", f"/security-groups/{group}") for group in groups]
        assert _at_once(deletes) == [204] * 2


def test_a_network_is_deleted_beside_new_ports(cloud: Cloud) -> None:
    for _ in range(5):
        (network_id,) = _made(cloud, "networks", [{"name": "goes"}])
        _made(cloud, "subnets", [{"network_id": network_id, "cidr": "10.7.0.0/24"}])
        new_ports = functools.partial(cloud.request, "POST", "admin", "network", "/ports", {"port": {"network_id": network_id}})
        deleted, *made = _at_once([functools.partial(cloud.request, "DELETE", "admin", "network", f"/networks/{network_id}"), *[new_ports] * 3])
        assert (deleted, set(made) <= {404, 409}) == (204, True) or (deleted, 201 in made, set(made) <= {201, 404, 409}) == (409, True, True)


def test_new_rules_subnets_and_ports_do_not_wait_for_each_other_in_a_circle(cloud: Cloud) -> None:
    (network_id,), (group_id,) = _made(cloud, "networks", [{}]), _made(cloud, "security_groups", [{"name": "busy"}])
    _made(cloud, "subnets", [{"network_id": network_id, "cidr": "10.8.0.0/24"}])

    def post(number: int) -> webob.Response:
        kind, body = (
            ("subnet", {"network_id": network_id, "cidr": f"10.9.{number}.0/24"}),
            ("security_group_rule", {"security_group_id": group_id, "direction": "ingress", "protocol": str(number)}),
            ("port", {"network_id": network_id, "security_groups": [group_id]}),
            ("port", {"network_id": network_id, "security_groups": [group_id]}))[number % 4]
        return cloud.request("POST", "admin", "network", f"/{kind.replace('_', '-')}s", {kind: body})

    for first in (0, 12, 24):
        assert _at_once([functools.partial(post, number) for number in range(first, first + 12)]) == [201] * 12
