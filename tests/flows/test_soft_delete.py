# SPDX-License-Identifier: Apache-2.0
"""A soft delete from every state in which there is something to keep: off, settled, restored running, or gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.base import utcnow
from nova_lite.db.compute import server_migrations
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.image.images import Image
from nova_lite.lifecycle.servers import Power
from nova_lite.runtime import failpoints
from tests.support.flows import disk_scenarios, resizing, shelving
from tests.support.flows.one_process import OneProcess
from tests.support.flows.resizing import BOTH, LARGE_SIZE


def after(*names: str) -> Callable[[OneProcess], str]:
    """A server that runs, once its host has done these actions."""

    def prepare(cloud: OneProcess) -> str:
        server_id = resizing.built(cloud)
        for name in names:
            cloud.do(server_id, name)
        return server_id

    return prepare


def resized(cloud: OneProcess) -> str:
    server_id, action_id = resizing.resize(cloud)
    cloud.run(action_id)
    assert resizing.is_resized(cloud, server_id)
    return server_id


def rescued(cloud: OneProcess) -> str:
    server_id, action_id = disk_scenarios.rescue(cloud)
    cloud.run(action_id)
    assert disk_scenarios.is_rescued(cloud, server_id)
    return server_id


def failed(cloud: OneProcess) -> str:
    server_id = resizing.built(cloud)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).values(vm_state="error"))
    return server_id


STATES: dict[str, tuple[Callable[[OneProcess], str], Power]] = {
    "active": (after(), Power.SHUTDOWN), "paused": (after("pause"), Power.SHUTDOWN),
    "suspended": (after("suspend"), Power.SUSPENDED), "stopped": (after("stop"), Power.SHUTDOWN),
    "rescued": (rescued, Power.SHUTDOWN), "resized": (resized, Power.SHUTDOWN), "error": (failed, Power.SHUTDOWN),
    "shelved": (lambda cloud: shelving.shelved(cloud, offload_s=-1), Power.SHUTDOWN),
}


def request(cloud: OneProcess, server_id: str, name: str) -> int:
    """As the Compute API does; the action's id."""
    action_id = cloud.begin_action(server_id, name)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).values(soft_deleted_at=utcnow()))
    cloud.run(action_id)
    return action_id


def soft_deleted(cloud: OneProcess, state: str) -> str:
    prepare, power = STATES[state]
    server_id = prepare(cloud)
    assert cloud.server(server_id).vm_state == state
    request(cloud, server_id, "soft_delete")
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state, server.power_state) == ("soft-delete", None, power)
    assert cloud.driver.power.state(server_id) is power
    return server_id


def snapshots_left(cloud: OneProcess) -> int:
    with cloud.database.reader() as session:
        return int(session.scalar(sa.select(sa.func.count()).where(Image.deleted_at.is_(None), Image.name == "s-shelved")) or 0)


@pytest.mark.parametrize("state", STATES)
def test_it_is_restored_running_from_its_own_disk(cloud: OneProcess, state: str) -> None:
    server_id = soft_deleted(cloud, state)
    request(cloud, server_id, "restore")
    server, record = cloud.server(server_id), cloud.compute_host.records.get(server_id)
    assert record is not None
    assert (server.vm_state, server.task_state, server.power_state) == ("active", None, Power.RUNNING)
    assert cloud.driver.power.state(server_id) is Power.RUNNING
    seen = {record.guest.rescue, cloud.driver.guests.find(server_id).rescue, record.before_rescue, server.shelved_image_id}
    assert seen == {None}
    assert (record.resized_by, record.desired_power, snapshots_left(cloud)) == (0, "on", 0)
    with cloud.database.reader() as session:
        states = set(session.scalars(sa.select(Action.state)))
    assert states == {"done"}


@pytest.mark.parametrize("state", STATES)
def test_what_is_deleted_for_good_leaves_nothing(cloud: OneProcess, state: str) -> None:
    server_id = soft_deleted(cloud, state)
    cloud.run(cloud.begin_delete(server_id))
    assert cloud.server(server_id).vm_state == "deleted"
    assert (cloud.leftovers(server_id), snapshots_left(cloud)) == ({}, 0)


def test_a_resize_that_waited_is_confirmed(cloud: OneProcess) -> None:
    server_id = soft_deleted(cloud, "resized")
    assert looks_of_rows(cloud, server_id) == ("large", LARGE_SIZE, "confirmed")
    request(cloud, server_id, "restore")
    assert resizing.is_confirmed(cloud, server_id)


def test_a_soft_delete_that_fails_leaves_a_resize_waiting(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = resized(cloud)
    failpoints.arm("soft_delete.before=error")
    request(cloud, server_id, "soft_delete")
    assert resizing.looks(cloud, server_id)[3:] == (BOTH, "finished")


def looks_of_rows(cloud: OneProcess, server_id: str) -> tuple[Any, ...]:
    server = cloud.server(server_id)
    with cloud.database.reader() as session:
        sums = session.execute(sa.text("SELECT sum(vcpus_claimed), sum(ram_mb_claimed), sum(disk_gb_claimed) FROM hosts")).one()
        status = server_migrations.latest(session, server_id).status
    assert (server.vcpus, server.ram_mb, server.total_gb) == tuple(sums)
    return server.flavor.name, tuple(sums), status
