# SPDX-License-Identifier: Apache-2.0
"""Many schedulers that want a host's last dedicated CPUs and huge pages at once, on real databases: never are more given."""

from __future__ import annotations

import functools

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.hosts import claims, hosts
from nova_lite.db.hosts.hosts import Claim, Host, Service
from nova_lite.payloads.placement import request as placement_request
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.values.flavor import Flavor
from nova_lite.values.resources import AllocationRatios, Resources
from tests.system.cluster.test_races import _race, clients, url

__all__ = ["clients", "url"]
SPECS = {"hw:cpu_policy": "dedicated", "hw:mem_page_size": "2MB"}
ROUNDS, ROOM = 10, 3
RATIOS = AllocationRatios(cpu=16.0)
LARGER = Resources(ram_mb=512, disk_gb=11, pcpus=4, hugepages_mb=128)


def _host(database: Database, name: str) -> None:
    with database.writer() as session:
        session.add(Host(
            name=name, agent=name, vcpus=8, ram_mb=65536, disk_gb=1000, pcpus=2 * ROOM, hugepages_mb=64 * ROOM, architecture="x86_64",
            hypervisor_type="QEMU", hypervisor_version=1, hypervisor_hostname=name, virt_type="qemu"))


def _wanting(database: Database) -> tuple[str, PlacementRequest]:
    with database.writer() as session:
        flavor = Flavor(id="1", name="f", vcpus=2, ram_mb=64, root_gb=1, extra_specs=SPECS)
        server = Server(project_id="p", user_id="u", name="s", hostname="s", flavor=flavor, vcpus=2, ram_mb=64, total_gb=1,
                        vm_state="building", task_state="scheduling", reservation_id="r-1", image_properties={})
        session.add(server)
        session.flush()
        return server.id, placement_request(session, server)


def _take(database: Database, host: str, request: PlacementRequest) -> bool:
    with database.writer() as session:
        return claims.take(session, server_id=request.server_id, host=host, resources=request.resources, ratios=RATIOS)


def _sums(database: Database, host: str) -> tuple[int, int, int, int]:
    """Claimed by the host's row, and by its claims."""
    with database.reader() as session:
        row = session.scalars(sa.select(Host).where(Host.name == host)).one()
        taken = session.execute(sa.select(sa.func.sum(Claim.pcpus), sa.func.sum(Claim.hugepages_mb)).where(Claim.host == host)).one()
        return row.pcpus_claimed, row.hugepages_mb_claimed, int(taken[0] or 0), int(taken[1] or 0)


@pytest.mark.parametrize("least", ["pcpus", "hugepages_mb"])
def test_the_last_of_a_host_is_given_once(clients: list[Database], least: str) -> None:
    for number in range(ROUNDS):
        host = f"{least}-{number}"
        _host(clients[0], host)
        with clients[0].writer() as session:  # of the other there is enough for all
            session.execute(sa.update(Host).where(Host.name == host).values(
                pcpus=2 * ROOM if least == "pcpus" else 100, hugepages_mb=64 * ROOM if least == "hugepages_mb" else 10_000))
        wanting = [_wanting(database) for database in clients]
        won: list[str] = []

        def claim(database: Database, request: PlacementRequest, host: str = host, won: list[str] = won) -> None:
            if _take(database, host, request):
                won.append(request.server_id)

        _race([lambda d=database, r=request: claim(d, r) for database, (_, request) in zip(clients, wanting, strict=True)])  # type: ignore[misc]
        assert len(won) == ROOM
        assert _sums(clients[0], host) == (2 * ROOM, 64 * ROOM, 2 * ROOM, 64 * ROOM)
        with clients[1].writer() as session:
            claims.release(session, server_id=won[0])
        assert _sums(clients[0], host) == (2 * ROOM - 2, 64 * ROOM - 64, 2 * ROOM - 2, 64 * ROOM - 64)


def test_no_host_gets_a_claim_once_its_operator_has_the_answer_that_it_is_disabled(clients: list[Database]) -> None:
    """Not from a scheduler either whose claim had begun, and waited for another's."""
    for number in range(ROUNDS):
        host = f"disabled-{number}"
        _host(clients[0], host)
        with clients[0].writer() as session:
            session.add(Service(binary="nova-compute", host=host, agent=host))
        wanting = [_wanting(database)[1] for database in clients[1:ROOM + 1]]
        answered: list[tuple[int, int, int, int]] = []

        def disable(host: str = host, answered: list[tuple[int, int, int, int]] = answered) -> None:
            with clients[0].writer() as session:
                [service] = hosts.services(session, host=host)
                hosts.set_disabled(session, service, disabled=True)
            answered.append(_sums(clients[0], host))

        _race([disable, *(functools.partial(_claim, database, host, request)
                          for database, request in zip(clients[1:ROOM + 1], wanting, strict=True))])
        assert answered == [_sums(clients[0], host)]


def _claim(database: Database, host: str, request: PlacementRequest) -> None:
    _take(database, host, request)


def test_a_request_that_is_delivered_to_several_schedulers_claims_once(clients: list[Database]) -> None:
    """Each picks another host; the first claim to be committed is the server's, and the others learn of it."""
    for number in range(ROUNDS):
        _, request = _wanting(clients[0])
        names = [f"each-{number}-{index}" for index in range(len(clients))]
        for host in names:
            _host(clients[0], host)
        outcomes: list[str] = []

        def claim(database: Database, host: str, request: PlacementRequest = request, outcomes: list[str] = outcomes) -> None:
            try:
                outcomes.append(host if _take(database, host, request) else "no room")
            except claims.AlreadyClaimedError:
                outcomes.append("claimed already")

        _race([functools.partial(claim, database, host) for database, host in zip(clients, names, strict=True)])
        won = [outcome for outcome in outcomes if outcome in names]
        assert len(won) == 1
        assert outcomes.count("claimed already") == len(clients) - 1
        assert [_sums(clients[0], host) for host in names if host not in won] == [(0, 0, 0, 0)] * (len(clients) - 1)
        assert _sums(clients[0], won[0]) == (2, 64, 2, 64)


def _resized(database: Database, host: str) -> str:
    """A server with a claim on the host that a resize is about to grow."""
    server_id, request = _wanting(database)
    assert _take(database, host, request)
    return server_id


def test_a_resize_claim_that_is_delivered_twice_grows_the_claim_once(clients: list[Database]) -> None:
    """The second delivery has read the claim before the first one commits (fault D)."""
    _host(clients[0], "twice")
    server_id = _resized(clients[0], "twice")
    with clients[0].writer() as session:
        loaded = claims.of_server(session, server_id)
        if clients[0].url.get_backend_name() != "sqlite":  # which has one writer at a time
            with clients[1].writer() as other:
                assert claims.change(other, server_id=server_id, host="twice", resources=LARGER, ratios=RATIOS)
        assert claims.change(session, server_id=server_id, host="twice", resources=LARGER, ratios=RATIOS)
        assert [claim.ram_mb for claim in loaded] == [512]
    assert _sums(clients[0], "twice") == (4, 128, 4, 128)


def test_a_claim_that_grew_meanwhile_is_released_whole(clients: list[Database]) -> None:
    _host(clients[0], "released")
    server_id = _resized(clients[0], "released")
    with clients[0].writer() as session:
        loaded = claims.of_server(session, server_id)
        if clients[0].url.get_backend_name() != "sqlite":
            with clients[1].writer() as other:
                assert claims.change(other, server_id=server_id, host="released", resources=LARGER, ratios=RATIOS)
        claims.release(session, server_id=server_id)
        assert len(loaded) == 1
    assert _sums(clients[0], "released") == (0, 0, 0, 0)


def test_a_repair_amid_claims_changes_no_sum_that_is_right(clients: list[Database]) -> None:
    """What others have claimed, and not committed yet, is neither lost nor counted twice."""
    _host(clients[0], "busy")
    servers = [_wanting(database) for database in clients[1:]]
    repaired: list[object] = []

    def claim_and_release(database: Database, request: PlacementRequest) -> None:
        for _ in range(ROUNDS):
            _take(database, "busy", request)
            with database.writer() as session:
                claims.release(session, server_id=request.server_id)

    def repair() -> None:
        for _ in range(ROUNDS):
            with clients[0].writer() as session:
                repaired.append(claims.repair_sums(session, "busy"))

    _race([repair, *(functools.partial(claim_and_release, database, request)
                     for database, (_, request) in zip(clients[1:], servers, strict=True))])
    assert repaired == [None] * ROUNDS
    assert _sums(clients[0], "busy") == (0, 0, 0, 0)
