# SPDX-License-Identifier: Apache-2.0
"""Servers that are being resized, as the Compute API begins it, and what is to be seen of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from nova_lite.db.compute import server_migrations, servers
from nova_lite.db.hosts.hosts import Claim
from nova_lite.lifecycle.servers import Power
from nova_lite.values import guest_disk
from nova_lite.values.flavor import Flavor
from tests.support.flows.one_process import CTXT, OneProcess

LARGE = Flavor(id="2", number=2, name="large", vcpus=2, ram_mb=256, root_gb=2, swap_mb=512, extra_specs={"a": "b"})
SMALL_SIZE, LARGE_SIZE, BOTH = (1, 128, 1), (2, 256, 3), (2, 256, 4)


def begin_resize(cloud: OneProcess, server_id: str, flavor: Flavor | None = None) -> int:
    """As the Compute API writes it: the server is claimed, the move is written down; the action's id."""
    action_id = cloud.begin_action(server_id, "resize")
    with cloud.database.writer() as session:
        server = servers.get(session, server_id)
        server_migrations.begin(session, server, user_id=CTXT.user_id, new_flavor=flavor or LARGE, old_vm_state=server.vm_state,
                    old_disk_config=server.disk_config)
    return action_id


def built(cloud: OneProcess) -> str:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    return server_id


def resize(cloud: OneProcess) -> tuple[str, int]:
    server_id = built(cloud)
    return server_id, begin_resize(cloud, server_id)


def _then(cloud: OneProcess, name: str) -> tuple[str, int]:
    server_id, action_id = resize(cloud)
    cloud.run(action_id)
    assert is_resized(cloud, server_id)
    return server_id, cloud.begin_action(server_id, name)


def confirm(cloud: OneProcess) -> tuple[str, int]:
    return _then(cloud, "confirm_resize")


def revert(cloud: OneProcess) -> tuple[str, int]:
    return _then(cloud, "revert_resize")


def is_resized(cloud: OneProcess, server_id: str) -> bool:
    return looks(cloud, server_id) == ("resized", "large", LARGE_SIZE, BOTH, "finished")


def is_confirmed(cloud: OneProcess, server_id: str) -> bool:
    return looks(cloud, server_id) == ("active", "large", LARGE_SIZE, LARGE_SIZE, "confirmed")


def is_reverted(cloud: OneProcess, server_id: str) -> bool:
    return looks(cloud, server_id) == ("active", "f", SMALL_SIZE, SMALL_SIZE, "reverted")


def is_as_before(cloud: OneProcess, server_id: str, _reason: str) -> bool:
    return looks(cloud, server_id) == ("active", "f", SMALL_SIZE, SMALL_SIZE, "error")


def looks(cloud: OneProcess, server_id: str, *, power: Power = Power.RUNNING) -> tuple[Any, ...]:
    """The server's state, its flavor, its guest's size, its claim and its move's status; all else agrees with these."""
    server, guest = cloud.server(server_id), cloud.driver.guests.find(server_id)
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    assert (server.task_state, server.power_state, cloud.driver.power.state(server_id)) == (None, power, power)
    assert _size_of(record.guest) == _size_of(guest)
    assert (server.flavor.vcpus, server.flavor.ram_mb, server.total_gb) == _size_of(guest)
    counted = (server.vcpus, server.ram_mb)
    assert counted == _size_of(guest)[:2] or (server.vm_state == "resized" and counted > _size_of(guest)[:2])
    assert record.phase == "built"
    assert bool(record.resized_by) == (server.vm_state == "resized")
    with cloud.database.reader() as session:
        claim = session.scalars(sa.select(Claim).where(Claim.server_id == server_id)).one()
        sums = session.execute(sa.text("SELECT sum(vcpus_claimed), sum(ram_mb_claimed), sum(disk_gb_claimed) FROM hosts")).one()
        status = server_migrations.latest(session, server_id).status
        every = session.execute(sa.select(sa.func.sum(Claim.vcpus), sa.func.sum(Claim.ram_mb), sa.func.sum(Claim.disk_gb))).one()
    assert tuple(sums) == tuple(every)
    claimed = (claim.vcpus, claim.ram_mb, claim.disk_gb)
    return server.vm_state, server.flavor.name, _size_of(guest), claimed, status


def _size_of(guest: Any) -> tuple[int, int, int]:
    return guest.vcpus, guest.ram_mb, guest_disk.total_gb(guest.disks)
