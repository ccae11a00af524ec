# SPDX-License-Identifier: Apache-2.0
"""Every list of the Compute API takes as many statements for many rows as for one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nova_lite.api.compute.microversions import MAXIMUM
from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.routing import Route
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.compute.actions import ActionEvent
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.db.compute.server_groups import ServerGroup
from nova_lite.db.hosts.aggregates import Aggregate, AggregateHost
from nova_lite.db.image.images import Image
from nova_lite.db.network.security_groups import SecurityGroup
from nova_lite.db.quotas.quotas import Quota
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, settle
from tests.support.api.users import PROJECTS

MANY = 4
ADMIN = PROJECTS["admin"]
# Routes whose path has at most a server's id: lists, and what a server has once.
LISTS = [route for route in SERVICES["compute"].routes
         if route.method == "GET" and route.status == 200 and not route.path.endswith(("/diagnostics", "/os-audit"))  # call workers
         and set(re.findall(r"{(\w+)}", route.path)) <= {"server_id"}]


def _furnished(path: Path, number: int) -> tuple[ComputeApi, str]:
    """A cloud with `number` of each resource that lists show, owned by the admin; and one server's id."""
    path.mkdir()
    api = compute_api.furnish(compute_api.make(path))
    api.add(Quota(project_id=ADMIN, resource="instances", hard_limit=-1), compute_api.network(
        "55555555-5555-4555-8555-555555555555", "admins", user="admin", segment=99))
    for count in range(number):
        name = f"x{count}"
        api.add(*compute_api.host(name), Keypair(user_id="admin", name=name, fingerprint="f", public_key="k"),
                Flavor(id=name, name=name, vcpus=1, ram_mb=1, root_gb=1, extra_specs={}),
                Image(owner=ADMIN, name=name, status="active", properties={}),
                ServerGroup(id=f"{count:08}-1111-4111-8111-111111111111", project_id=ADMIN, user_id="admin", name=name, policy="affinity"),
                Aggregate(number=count + 1, name=name), AggregateHost(aggregate_number=count + 1, host=name))
        server_id = boot(api, user="admin", networks=[{"uuid": "55555555-5555-4555-8555-555555555555"}])
        settle(api, server_id, host=name, agent=name, group_id=f"{count:08}-1111-4111-8111-111111111111", tags=["a"])
        api.add(ActionEvent(action_id=1, name=f"event-{count}", host=name, start_time=utcnow(), result="Success"),
                compute_api.network(new_id(), name, user="admin", segment=count + 10),
                SecurityGroup(id=new_id(), project_id=ADMIN, name=name))
    return api, server_id


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[ComputeApi, str]]:
    directory = tmp_path_factory.mktemp("counts")
    return [_furnished(directory / str(number), number) for number in (1, MANY)]


def _count(cloud: tuple[ComputeApi, str], route: Route) -> tuple[int, int]:
    """Number of statements, and length of the response."""
    api, server_id = cloud
    version = str(route.versions.until or MAXIMUM)
    with api.counted() as statements:
        answer = api.get(route.path.replace("{server_id}", server_id), user="admin", version=version)
    assert answer.status < 500 or answer.status == 501, answer.body
    return len(statements), len(str(answer.body))


@pytest.mark.parametrize("route", LISTS, ids=[f"{route.path} {route.versions.since}" for route in LISTS])
def test_a_list_takes_as_many_statements_for_many_as_for_one(clouds: list[tuple[ComputeApi, str]], route: Route) -> None:
    (few, _), (many, _) = (_count(cloud, route) for cloud in clouds)
    assert many <= few


@pytest.mark.parametrize("path", [
    "/servers/detail?all_tenants=1", "/flavors/detail", "/os-keypairs", "/os-server-groups", "/os-aggregates", "/os-services",
    "/os-hypervisors/detail?with_servers=True", "/os-availability-zone/detail"])
def test_the_lists_that_were_counted_are_longer_for_many(clouds: list[tuple[ComputeApi, str]], path: str) -> None:
    """So that the counts above are of lists that grow."""
    few, many = (len(str(api.get(path, user="admin", version=MAXIMUM).body)) for api, _ in clouds)
    assert many > 2 * few
    counts = []
    for api, _ in clouds:
        with api.counted() as statements:
            api.get(path, user="admin", version=MAXIMUM)
        counts.append(len(statements))
    assert counts[0] == counts[1] > 0
