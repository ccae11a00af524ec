# SPDX-License-Identifier: Apache-2.0
"""Passwords, crash dumps and diagnostics between worker and conductor: each ends, whatever became of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.compute.operations.guest_agent import Inside
from nova_lite.conductor.instance_metadata import Documents
from nova_lite.conductor.reconcilers.stalled_actions import StalledActions
from nova_lite.db.compute.actions import Action
from nova_lite.db.network.ports import Port
from tests.support.flows import disk_scenarios, resizing, shelving
from tests.support.flows.one_process import CTXT, OneProcess


@pytest.fixture
def inside(cloud: OneProcess) -> Inside:
    return Inside(cloud.compute_host)


def state(cloud: OneProcess, server_id: str, action_id: int) -> tuple[str | None, str, str | None]:
    """The server's task, the action's state, and its message."""
    with cloud.database.reader() as session:
        action = session.get_one(Action, action_id)
        return cloud.server(server_id).task_state, action.state, action.message


def test_a_password_is_set_and_the_server_is_free_again(cloud: OneProcess, inside: Inside) -> None:
    server_id = shelving.active(cloud)
    action_id = cloud.cast_action(server_id, "change_password")
    inside.change_password(CTXT, server_id=server_id, order=cloud.order(action_id), password="secret-2")
    assert state(cloud, server_id, action_id) == (None, "done", None)
    assert "password of root" in cloud.driver.consoles.output(server_id)
    assert "secret-2" not in cloud.driver.consoles.output(server_id)


def test_a_refused_password_reaches_the_caller_and_the_journal(
    cloud: OneProcess, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(server_id: str, *, user: str, password: str) -> None:
        raise errors.HypervisorFailed(host="node-1", action="set a password", reason="no agent")

    monkeypatch.setattr(cloud.driver.guests, "set_password", refuse)
    server_id = shelving.active(cloud)
    action_id = cloud.cast_action(server_id, "change_password")
    with pytest.raises(errors.HypervisorFailed, match="no agent"):
        inside.change_password(CTXT, server_id=server_id, order=cloud.order(action_id), password="x")
    task, ended, message = state(cloud, server_id, action_id)
    assert (task, ended) == (None, "failed")
    assert "no agent" in str(message)
    assert cloud.server(server_id).vm_state == "active"


def test_a_password_that_nobody_reported_on_is_given_up(cloud: OneProcess) -> None:
    server_id = shelving.active(cloud)
    action_id = cloud.cast_action(server_id, "change_password")
    cloud.advance(seconds=121)
    StalledActions(cloud.services, cloud.engine).look()
    task, ended, message = state(cloud, server_id, action_id)
    assert (task, ended) == (None, "failed")
    assert "not known" in str(message)


def test_a_crash_dump_is_one_event(cloud: OneProcess, inside: Inside) -> None:
    server_id = shelving.active(cloud)
    action_id = cloud.cast_action(server_id, "trigger_crash_dump")
    inside.trigger_crash_dump(CTXT, server_id=server_id, order=cloud.order(action_id))
    assert state(cloud, server_id, action_id) == (None, "done", None)
    assert [event.name for event in cloud.events(action_id)] == ["compute_trigger_crash_dump"]
    assert "NMI" in cloud.driver.consoles.output(server_id)


def test_diagnostics_need_a_guest_that_runs(cloud: OneProcess, inside: Inside) -> None:
    server_id = shelving.active(cloud)
    assert inside.diagnostics(CTXT, server_id=server_id).memory_maximum_mb == 128
    cloud.driver.power.stop(server_id, timeout_s=0)
    with pytest.raises(errors.WrongState, match="power state"):
        inside.diagnostics(CTXT, server_id=server_id)


def test_a_guest_posts_its_password_once_and_reads_it_back(cloud: OneProcess) -> None:
    server_id = shelving.active(cloud)
    documents = Documents(cloud.services)
    documents.post_password(CTXT, server_id=server_id, password="c2VjcmV0")  # no secret
    assert cloud.server(server_id).posted_password == "c2VjcmV0"  # no secret
    assert cloud.network_records.servers[server_id].documents["openstack/latest/password"] == "c2VjcmV0"
    with pytest.raises(errors.Conflict, match="already"):
        documents.post_password(CTXT, server_id=server_id, password="another")  # no secret
    assert cloud.server(server_id).posted_password == "c2VjcmV0"  # no secret


def test_nobody_posts_for_a_server_that_is_not_there(cloud: OneProcess) -> None:
    with pytest.raises(errors.NotFound):
        Documents(cloud.services).post_password(CTXT, server_id="none", password="x")  # no secret


def test_a_tagged_nic_is_named_to_the_guest(cloud: OneProcess) -> None:
    server_id = shelving.active(cloud)
    with cloud.database.writer() as session:
        port = session.scalars(sa.select(Port).where(Port.device_id == server_id)).one()
        port.tag, mac = "storage", port.mac_address
    Documents(cloud.services).refresh_documents(CTXT, server_id=server_id)
    assert devices(cloud, server_id) == [
        {"type": "nic", "bus": "pci", "address": "0000:00:03.0", "mac": mac, "tags": ["storage"]}]


def devices(cloud: OneProcess, server_id: str) -> list[dict[str, object]]:
    """What the guest reads of its devices by the metadata service."""
    metadata = json.loads(cloud.network_records.servers[server_id].documents["openstack/latest/meta_data.json"])
    return list(metadata["devices"])


def tagged(cloud: OneProcess) -> tuple[str, int]:
    """A server that is created with a tag on its NIC; (server id, action id)."""
    server_id, action_id = cloud.create_server()
    with cloud.database.writer() as session:
        session.execute(sa.update(Port).where(Port.device_id == server_id).values(tag="storage"))
    return server_id, action_id


def test_a_build_sends_where_tagged_devices_are_once_they_are_there(cloud: OneProcess) -> None:
    server_id, action_id = tagged(cloud)
    cloud.run(action_id)
    assert [(device["bus"], device["address"]) for device in devices(cloud, server_id)] == [("pci", "0000:00:03.0")]


@pytest.mark.parametrize("prepare", [disk_scenarios.rebuild, shelving.prepare_unshelve, resizing.resize],
                         ids=["rebuild", "unshelve", "resize"])
def test_they_are_sent_again_when_the_guest_is_made_anew(cloud: OneProcess, prepare: Any) -> None:
    server_id, action_id = prepare(cloud)
    with cloud.database.writer() as session:
        session.execute(sa.update(Port).where(Port.device_id == server_id).values(tag="storage"))
    cloud.run(action_id)
    assert [device["bus"] for device in devices(cloud, server_id)] == ["pci"]


def test_a_host_that_does_not_say_where_they_are_holds_up_nobody(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(guest: object) -> None:
        raise errors.HypervisorFailed(host="node-0", action="read a guest's place", reason="no answer")

    monkeypatch.setattr(cloud.driver.guests, "placement", refuse)
    server_id, action_id = tagged(cloud)
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    assert [(device["bus"], device["tags"]) for device in devices(cloud, server_id)] == [("none", ["storage"])]
