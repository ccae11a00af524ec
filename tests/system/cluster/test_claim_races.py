# SPDX-License-Identifier: Apache-2.0
"""Many schedulers that want a host's last dedicated CPUs and huge pages at once, on real databases: never are more given."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.hosts import claims
from nova_lite.db.hosts.hosts import Claim, Host
from nova_lite.payloads.placement import request as placement_request
from nova_lite.rpc.scheduler import PlacementRequest
from tests.system.cluster.test_races import _race, clients, url

__all__ = ["clients", "url"]
SPECS = {"hw:cpu_policy": "dedicated", "hw:mem_page_size": "2MB"}
ROUNDS, ROOM = 10, 3


def _host(database: Database, name: str) -> None:
    with database.writer() as session:
        session.add(Host(
            name=name, agent=name, vcpus=8, ram_mb=65536, disk_gb=1000, pcpus=2 * ROOM, huge_mb=64 * ROOM, architecture="x86_64",
            hypervisor_type="QEMU", hypervisor_version=1, hypervisor_hostname=name, virt_type="qemu"))


def _wanting(database: Database) -> tuple[str, PlacementRequest]:
    with database.writer() as session:
        flavor = {"vcpus": 2, "ram": 64, "extra_specs": SPECS}
        server = Server(project_id="p", user_id="u", name="s", hostname="s", flavor=flavor, vcpus=2, ram_mb=64, disk_gb=1,
                        vm_state="building", task_state="scheduling", reservation_id="r-1", image_properties={})
        session.add(server)
        session.flush()
        return server.id, placement_request(session, server)


def _take(database: Database, host: str, request: PlacementRequest) -> bool:
    size = {name: getattr(request, name) for name in claims.SIZES}
    with database.writer() as session:
        return claims.take(session, server_id=request.server_id, host=host, limits=(16.0, 1.0, 1.0), **size)


def _sums(database: Database, host: str) -> tuple[int, int, int, int]:
    """Claimed by the host's row, and by its claims."""
    with database.reader() as session:
        row = session.scalars(sa.select(Host).where(Host.name == host)).one()
        taken = session.execute(sa.select(sa.func.sum(Claim.pcpus), sa.func.sum(Claim.huge_mb)).where(Claim.host == host)).one()
        return row.pcpus_claimed, row.huge_mb_claimed, int(taken[0] or 0), int(taken[1] or 0)


@pytest.mark.parametrize("least", ["pcpus", "huge_mb"])
def test_the_last_of_a_host_is_given_once(clients: list[Database], least: str) -> None:
    for number in range(ROUNDS):
        host = f"{least}-{number}"
        _host(clients[0], host)
        with clients[0].writer() as session:  # of the other there is enough for all
            session.execute(sa.update(Host).where(Host.name == host).values(
                pcpus=2 * ROOM if least == "pcpus" else 100, huge_mb=64 * ROOM if least == "huge_mb" else 10_000))
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
