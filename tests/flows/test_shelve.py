# SPDX-License-Identifier: Apache-2.0
"""Shelving end to end: what stays on hosts, what reconcilers do, and what delete leaves."""

from __future__ import annotations

import datetime

import pytest
import sqlalchemy as sa

from nova_lite.conductor.reconcilers import offload_shelved, orphans, reclaim_deleted
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.db.base import utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import Power
from tests.support.flows import shelving
from tests.support.flows.one_process import OneProcess


def two_hours_later(cloud: OneProcess, server_id: str) -> None:
    """For this server: workers have been heard of just now."""
    before = utcnow() - datetime.timedelta(hours=2)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == server_id).values(shelved_at=before, soft_deleted_at=before))


def test_a_server_that_stays_on_its_host_is_only_started_again(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=-1)
    assert shelving.is_shelved(cloud, server_id)
    host = cloud.server(server_id).host
    cloud.run(cloud.begin_action(server_id, "unshelve"))
    assert shelving.is_back(cloud, server_id)
    assert cloud.server(server_id).host == host


def test_an_unshelved_server_keeps_its_image_and_its_address(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=0)
    before = [(port.mac_address, [held.address for held in port.addresses]) for port in cloud.ports(server_id)]
    cloud.run(cloud.begin_action(server_id, "unshelve"))
    assert shelving.is_back(cloud, server_id)
    assert cloud.server(server_id).image_id == cloud.image_id
    assert [(port.mac_address, [held.address for held in port.addresses]) for port in cloud.ports(server_id)] == before
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    assert record.guest.image.id != cloud.image_id


def test_it_may_be_shelved_again_and_again(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=0)
    cloud.run(cloud.begin_action(server_id, "unshelve"))
    cloud.run(shelving.request(cloud, server_id))
    assert shelving.is_offloaded(cloud, server_id)
    cloud.run(cloud.begin_action(server_id, "unshelve"))
    assert shelving.is_back(cloud, server_id)


def test_a_host_may_be_named(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=0)
    cloud.run(cloud.begin_action(server_id, "unshelve", inputs={"host": "node-2"}))
    assert cloud.server(server_id).host == "node-2"


def test_no_host_leaves_it_shelved(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=0)
    cloud.run(cloud.begin_action(server_id, "unshelve", inputs={"host": "nowhere"}))
    assert shelving.is_offloaded(cloud, server_id)


def test_delete_takes_the_snapshot_too(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=0)
    cloud.run(cloud.begin_delete(server_id))
    assert cloud.server(server_id).vm_state == "deleted"
    assert shelving.snapshots_of(cloud, server_id) == []
    assert cloud.leftovers(server_id) == {}


@pytest.mark.parametrize("state", ["paused", "stopped", "suspended"])
def test_a_server_at_rest_can_be_shelved(cloud: OneProcess, state: str) -> None:
    server_id = shelving.active(cloud)
    {"paused": lambda: cloud.driver.power.pause(server_id), "suspended": lambda: cloud.driver.power.suspend(server_id),
     "stopped": lambda: cloud.driver.power.stop(server_id, timeout_s=0)}[state]()
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == server_id).values(vm_state=state))
    cloud.run(shelving.request(cloud, server_id))
    assert shelving.is_offloaded(cloud, server_id)


def test_a_reconciler_offloads_when_the_time_is_over(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=-1)
    cloud.conf.set_override("shelved_offload_time", 3600, group="compute")
    offload_shelved.offload(cloud.services)
    assert shelving.is_shelved(cloud, server_id)
    two_hours_later(cloud, server_id)
    offload_shelved.offload(cloud.services)
    assert shelving.is_offloaded(cloud, server_id)


def test_reconcilers_leave_shelved_servers_alone(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=-1)
    orphans.remove(cloud.services, HostCalls())
    orphans.release_claims(cloud.services)
    assert shelving.is_shelved(cloud, server_id)
    assert len(cloud.leftovers(server_id)["claims"]) == 1  # type: ignore[arg-type]


def soft_delete(cloud: OneProcess) -> str:
    server_id = shelving.active(cloud)
    action_id = cloud.begin_action(server_id, "soft_delete")
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == server_id).values(soft_deleted_at=utcnow()))
    cloud.run(action_id)
    return server_id


def test_a_soft_deleted_server_is_off_and_keeps_its_claim(cloud: OneProcess) -> None:
    server_id = soft_delete(cloud)
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state) == ("soft-delete", None)
    assert cloud.driver.power.state(server_id) is Power.SHUTDOWN
    orphans.remove(cloud.services, HostCalls())
    orphans.release_claims(cloud.services)
    assert set(cloud.leftovers(server_id)) == {"claims", "plugged", "sums", "held"}


def test_it_is_restored_running(cloud: OneProcess) -> None:
    server_id = soft_delete(cloud)
    action_id = cloud.begin_action(server_id, "restore")
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    assert cloud.driver.power.state(server_id) is Power.RUNNING


def test_it_is_reclaimed_in_time_and_leaves_nothing(cloud: OneProcess) -> None:
    cloud.conf.set_override("reclaim_instance_interval", 3600, group="compute")
    server_id = soft_delete(cloud)
    reclaim_deleted.reclaim(cloud.services)
    assert cloud.server(server_id).vm_state == "soft-delete"
    two_hours_later(cloud, server_id)
    reclaim_deleted.reclaim(cloud.services)
    assert cloud.server(server_id).vm_state == "deleted"
    assert cloud.leftovers(server_id) == {}


def test_a_reclaim_that_is_not_wanted_never_comes(cloud: OneProcess) -> None:
    server_id = soft_delete(cloud)
    two_hours_later(cloud, server_id)
    reclaim_deleted.reclaim(cloud.services)
    assert cloud.server(server_id).vm_state == "soft-delete"
