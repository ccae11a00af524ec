# SPDX-License-Identifier: Apache-2.0
"""What volumes promise beyond what holds for every workflow."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.reconcilers import deleted_attachments, purge
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import Action, ActionEvent
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Service
from nova_lite.db.volume import qos_specs, volume_types
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.pools import Pool
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from nova_lite.rpc.conductor import StepReport
from nova_lite.values.flavor import Flavor
from tests.support.flows import shelving
from tests.support.flows import volume_scenarios as storage
from tests.support.flows.one_process import OneProcess


def server_on_new_volume(cloud: OneProcess) -> tuple[str, int, str, int]:
    """A server whose root disk is made with it; ids of it and its volume, and of their actions."""
    volume_id = storage.add_volume(cloud, bootable=True)
    server_id, create = cloud.create_server(
        has_volumes=True, image_id=None, flavor=Flavor(id="1", name="f", vcpus=1, ram_mb=128, root_gb=1, root_on_volume=True))
    with cloud.database.writer() as session:
        session.add(Attachment(project_id="p" * 32, server_id=server_id, volume_id=volume_id, exclusive_id=volume_id, mountpoint="/dev/vda",
                               boot_index=0, mode="rw", delete_on_termination=True))
        session.get_one(Action, create).inputs = {"has_volumes": True}
    return server_id, create, volume_id, storage.begin(cloud, (actions.VOLUME, volume_id), "create_volume", source="blank")


def test_a_build_waits_for_its_volume_and_goes_on_when_it_is_made(cloud: OneProcess) -> None:
    server_id, create, volume_id, make = server_on_new_volume(cloud)
    cloud.run(create)
    assert (cloud.server(server_id).vm_state, cloud.action(create).wake_at is None) == ("building", False)
    cloud.run(make)
    assert cloud.server(server_id).vm_state == "active"
    assert storage.has_its_volumes(cloud, server_id)
    assert storage.volume(cloud, volume_id).status == "in-use"


def test_a_volume_that_goes_with_its_server_is_deleted_after_it(cloud: OneProcess) -> None:
    server_id, create, _volume_id, make = server_on_new_volume(cloud)
    cloud.run(make)
    cloud.run(create)
    assert cloud.server(server_id).vm_state == "active"
    cloud.run(cloud.begin_delete(server_id))
    assert cloud.server(server_id).deleted_at is not None
    with cloud.database.reader() as session:
        left = [session.query(row).count() for row in (Volume, Attachment)]
    assert (left, storage.names(cloud), storage.claimed(cloud)) == ([0, 0], frozenset(), 0)


def test_a_build_whose_volume_cannot_be_made_says_so(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).where(Service.binary == "nova-volume").values(disabled=True))
    server_id, create, volume_id, make = server_on_new_volume(cloud)
    cloud.run(create)
    cloud.run(make)
    cloud.go_on(create)
    server = cloud.server(server_id)
    assert (server.vm_state, storage.volume(cloud, volume_id).status) == ("error", "error")
    assert volume_id in server.fault["message"]  # type: ignore[index]
    (message,) = storage.messages_of(cloud, volume_id)
    assert (message.event_id, message.user_message) == ("VOLUME_VOLUME_001_003", f"find a pool for the volume: {cloud.action(make).message}")
    assert cloud.action(make).message == "No valid backend was found. 1 storage pool: 1× disabled by an operator. Nearest fit: disabled by an operator."


def test_a_volume_is_made_in_another_pool_when_one_fails(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.add_backend("other")
    volume_id = storage.add_volume(cloud)
    tried = []
    for name in ("local", "other"):
        pool = cloud.volume_worker.backends.get(name, action="test").pool
        real = pool.create

        def create(volume, *args, real=real, **more):  # type: ignore[no-untyped-def]
            tried.append(volume.backend)
            if len(tried) == 1:
                raise errors.VolumeFailed(host="node", action="create the volume", reason="the disk is broken")
            return real(volume, *args, **more)

        monkeypatch.setattr(pool, "create", create)
    cloud.run(storage.begin(cloud, (actions.VOLUME, volume_id), "create_volume", source="blank"))
    row = storage.volume(cloud, volume_id)
    assert (row.status, sorted(tried)) == ("available", ["local", "other"])
    with cloud.database.reader() as session:
        claimed = {pool.name: pool.claimed_gb for pool in session.query(Pool)}
    assert claimed == {name: 2 if name == row.host else 0 for name in ("node@local#local", "node@other#other")}


def test_a_pool_gives_no_more_than_it_has(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(Pool).values(total_gb=1.0, max_over_subscription_ratio=3.0))
    first, second = storage.made(cloud), storage.add_volume(cloud)
    action_id = storage.begin(cloud, (actions.VOLUME, second), "create_volume", source="blank")
    cloud.run(action_id)
    assert [storage.volume(cloud, one).status for one in (first, second)] == ["available", "error"]
    assert "2 GiB requested, 1 GiB left" in str(cloud.action(action_id).message)


def test_the_attachment_of_a_deleted_server_ends_when_its_storage_is_back(cloud: OneProcess) -> None:
    server_id, attachment_id, volume_id = storage.attached(cloud)
    real = cloud.services.volume
    set_down(cloud, is_down=True)
    cloud.services.__dict__["volume"] = lambda agent: Silent()
    cloud.run(cloud.begin_delete(server_id))
    assert cloud.server(server_id).deleted_at is not None
    assert (storage.volume(cloud, volume_id).status, storage.exported(cloud)) == ("detaching", [attachment_id])
    set_down(cloud, is_down=False)
    cloud.services.__dict__["volume"] = real
    with cloud.database.reader() as session:
        (end,) = session.scalars(sa.select(Action.id).where(Action.resource_id == attachment_id, Action.name == "delete_attachment"))
    cloud.go_on(end)
    assert (storage.volume(cloud, volume_id).status, storage.exported(cloud)) == ("available", [])


def set_down(cloud: OneProcess, *, is_down: bool) -> None:
    """As an operator does, or a silence."""
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).where(Service.binary == "nova-volume").values(forced_down=is_down))
    cloud.services.__dict__.pop("_unusable", None)


class Silent:
    """A volume worker that is down: what it is sent is lost."""

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return lambda *args, **more: None


def test_an_attachment_that_nobody_ends_any_more_is_taken_up(cloud: OneProcess) -> None:
    server_id, _, volume_id = storage.attached(cloud)
    cloud.compute_host.driver.guests.destroy(server_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == server_id).values(
            deleted_at=utcnow() - datetime.timedelta(minutes=1), vm_state="deleted"))
    deleted_attachments.end(cloud.services)
    assert storage.volume(cloud, volume_id).status == "available"
    assert storage.of_server(cloud, server_id) == []


def test_a_clients_attachment_to_a_server_elsewhere_is_left_alone(cloud: OneProcess) -> None:
    attachment_id, action_id = storage.export(cloud)
    cloud.run(action_id)
    deleted_attachments.end(cloud.services)
    assert storage.is_exported(cloud, attachment_id)


def test_a_volume_of_an_offloaded_server_is_in_use_and_reaches_it_when_it_is_back(cloud: OneProcess) -> None:
    server_id = shelving.shelved(cloud, offload_s=0)
    volume_id = storage.made(cloud)
    attachment_id = storage.reserve(cloud, server_id, volume_id)
    cloud.run(cloud.begin_action(server_id, "attach_volume", inputs={"attachment_id": attachment_id}))
    assert (storage.volume(cloud, volume_id).status, storage.exported(cloud)) == ("in-use", [])
    cloud.run(cloud.begin_action(server_id, "unshelve"))
    assert cloud.server(server_id).vm_state == "active"
    assert storage.has_its_volumes(cloud, server_id)
    assert storage.exported(cloud) == [attachment_id]


def test_actions_of_volumes_are_kept_for_some_days(cloud: OneProcess) -> None:
    volume_id = storage.made(cloud)
    server_id, create = cloud.create_server()
    cloud.run(create)
    purge.purge(cloud.services)
    assert of_resource(cloud, volume_id) == 1
    with cloud.database.writer() as session:
        session.execute(sa.update(Action).values(finish_time=utcnow() - datetime.timedelta(days=400)))
    purge.purge(cloud.services)
    assert (of_resource(cloud, volume_id), of_resource(cloud, server_id)) == (0, 1)
    with cloud.database.reader() as session:
        assert set(session.scalars(sa.select(ActionEvent.action_id))) == {create}


def of_resource(cloud: OneProcess, resource_id: str) -> int:
    with cloud.database.reader() as session:
        return session.query(Action).filter(Action.resource_id == resource_id).count()


@pytest.mark.parametrize(("consumer", "kept"), [
    ("front-end", {"total_iops_sec": "1000", "read_bytes_sec": "512"}), ("both", {"total_iops_sec": "1000", "read_bytes_sec": "512"}), ("back-end", None)])
def test_a_guest_is_kept_to_the_limits_of_its_volumes_type(cloud: OneProcess, consumer: str, kept: dict[str, str] | None) -> None:
    """Those of a GiB are multiplied by the volume's 2 GiB, and are at least their minimum."""
    specs = {"total_iops_sec_per_gb": "300", "total_iops_sec_per_gb_min": "1000", "read_bytes_sec_per_gb": "256"}
    with cloud.database.writer() as session:
        made = qos_specs.add(session, name="limited", consumer=consumer, specs=specs)
        type_id = volume_types.add(session, VolumeType(name="limited", qos_specs_id=made.id)).id
    server_id = storage.active(cloud)
    attachment_id = storage.reserve(cloud, server_id, storage.made(cloud, volume_type_id=type_id))
    cloud.run(cloud.begin_action(server_id, "attach_volume", inputs={"attachment_id": attachment_id}))
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    (disk,) = [disk for disk in record.guest.disks if disk.volume is not None]
    assert disk.volume is not None
    assert disk.volume.data.get("qos_specs") == kept


def test_an_export_that_came_after_the_end_of_another_is_kept(cloud: OneProcess) -> None:
    """As when a build moves to another host: the first host's report may be late."""
    attachment_id, action_id = storage.export(cloud)
    cloud.run(action_id)
    late = storage.begin(cloud, (actions.ATTACHMENT, attachment_id), "unexport_attachment", attachment_id=attachment_id)
    held: list[StepReport] = []

    def hold(report: StepReport) -> StepReport:
        if report.order.action != late:
            return report
        held.append(report)
        return dataclasses.replace(report, order=dataclasses.replace(report.order, action=0))

    cloud.change_report = hold
    cloud.run(late)
    cloud.run(storage.begin(cloud, (actions.ATTACHMENT, attachment_id), "export_attachment", attachment_id=attachment_id))
    cloud.engine.report(held[0])
    assert cloud.action(late).state == "done"
    assert storage.is_exported(cloud, attachment_id)
