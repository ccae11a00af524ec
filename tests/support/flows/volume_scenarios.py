# SPDX-License-Identifier: Apache-2.0
"""For each workflow of volumes, snapshots and attachments: its start, its end, and what is to be seen after it was undone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from nova_lite.db.base import new_id
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.actions import Action, ActionEvent
from nova_lite.db.image import images
from nova_lite.db.image.images import Image
from nova_lite.db.volume import attachments, snapshots, volume_types, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.messages import Message
from nova_lite.db.volume.pools import Pool
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus, SnapshotStatus
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.storage import POOL

_SIZE_GB, _LARGER_GB = 2, 5


def begin(cloud: OneProcess, resource: tuple[str, str], name: str, **inputs: Any) -> int:
    """An action as the API writes it; its id."""
    with cloud.database.writer() as session:
        return actions.begin(
            session, resource, name, actions.Requester(CTXT.request_id, CTXT.user_id, CTXT.project_id), inputs=inputs).id


def add_volume(cloud: OneProcess, **columns: Any) -> str:
    """The row of a new volume, as the API writes it."""
    volume_id = new_id()
    with cloud.database.writer() as session:
        session.add(Volume(**{
            "id": volume_id, "project_id": CTXT.project_id, "user_id": CTXT.user_id, "size_gb": _SIZE_GB,
            "provider_name": volumes.provider_name(volume_id), **columns}))
    return volume_id


def made(cloud: OneProcess, **columns: Any) -> str:
    """An available volume."""
    volume_id = add_volume(cloud, **columns)
    cloud.run(begin(cloud, (actions.VOLUME, volume_id), "create_volume", source="blank"))
    assert volume(cloud, volume_id).status == "available"
    return volume_id


def volume(cloud: OneProcess, volume_id: str) -> Volume:
    with cloud.database.reader() as session:
        return volumes.get(session, volume_id)


def messages_of(cloud: OneProcess, resource_id: str) -> list[Message]:
    """What users are shown of failures."""
    with cloud.database.reader() as session:
        return list(session.scalars(sa.select(Message).where(Message.resource_uuid == resource_id)))


def names(cloud: OneProcess) -> frozenset[str]:
    """What is in the pool."""
    return cloud.volume_worker.backends.get("local", action="look").pool.names()


def claimed(cloud: OneProcess) -> int:
    """GiB of the pool that are claimed."""
    with cloud.database.reader() as session:
        return session.get_one(Pool, POOL).claimed_gb


def create(cloud: OneProcess) -> tuple[str, int]:
    volume_id = add_volume(cloud)
    return volume_id, begin(cloud, (actions.VOLUME, volume_id), "create_volume", source="blank")


def is_made(cloud: OneProcess, volume_id: str) -> bool:
    row = volume(cloud, volume_id)
    return ((row.status, row.host, claimed(cloud)) == ("available", POOL, _SIZE_GB) and row.launched_at is not None
            and names(cloud) == {row.provider_name})


def is_in_error(cloud: OneProcess, volume_id: str, _reason: str) -> bool:
    row = volume(cloud, volume_id)
    return (row.status, row.host, claimed(cloud), len(names(cloud))) == ("error", None, 0, 0)


def begin_on(cloud: OneProcess, volume_id: str, name: str, **inputs: Any) -> int:
    with cloud.database.writer() as session:
        volumes.begin(session, volumes.get(session, volume_id), name)
    return begin(cloud, (actions.VOLUME, volume_id), name, **inputs)


def delete(cloud: OneProcess) -> tuple[str, int]:
    """With its snapshot."""
    volume_id = made(cloud)
    cloud.run(begin_snapshot(cloud, volume_id)[1])
    return volume_id, begin_on(cloud, volume_id, "delete_volume", is_cascade=True)


def is_gone(cloud: OneProcess, volume_id: str) -> bool:
    with cloud.database.reader() as session:
        rows = [session.get(Volume, volume_id), *snapshots.of_volume(session, volume_id)]
    return (rows, claimed(cloud), len(names(cloud))) == ([None], 0, 0)


def is_error_deleting(cloud: OneProcess, volume_id: str, _reason: str) -> bool:
    return volume(cloud, volume_id).status == "error_deleting"


def extend(cloud: OneProcess) -> tuple[str, int]:
    """In use by a server's guest."""
    server_id, _, volume_id = attached(cloud)
    with cloud.database.writer() as session:
        volumes.begin(session, volumes.get(session, volume_id), "extend_attached_volume")
    return volume_id, begin(cloud, (actions.VOLUME, volume_id), "extend_volume", size_gb=_LARGER_GB)


def is_extended(cloud: OneProcess, volume_id: str) -> bool:
    row = volume(cloud, volume_id)
    with cloud.database.reader() as session:
        shown = session.scalars(sa.select(ActionEvent.result).join(Action).where(
            Action.resource_type == actions.SERVER, ActionEvent.name == "compute_extend_volume")).all()
    return (row.status, row.size_gb, claimed(cloud), list(shown)) == ("in-use", _LARGER_GB, _LARGER_GB, ["Success"])


def is_not_extended(cloud: OneProcess, volume_id: str, _reason: str) -> bool:
    row = volume(cloud, volume_id)
    return (row.status, row.size_gb, claimed(cloud)) == ("in-use", _SIZE_GB, _SIZE_GB)


def begin_snapshot(cloud: OneProcess, volume_id: str) -> tuple[str, int]:
    snapshot_id = new_id()
    with cloud.database.writer() as session:
        session.add(VolumeSnapshot(
            id=snapshot_id, volume_id=volume_id, project_id=CTXT.project_id, user_id=CTXT.user_id, size_gb=_SIZE_GB,
            provider_name=snapshots.provider_name(snapshot_id)))
    return snapshot_id, begin(cloud, (actions.SNAPSHOT, snapshot_id), "create_snapshot")


def snapshot(cloud: OneProcess, snapshot_id: str) -> VolumeSnapshot | None:
    with cloud.database.reader() as session:
        return session.get(VolumeSnapshot, snapshot_id)


def create_snapshot(cloud: OneProcess) -> tuple[str, int]:
    """In use by a server's guest."""
    return begin_snapshot(cloud, attached(cloud)[2])


def has_snapshot(cloud: OneProcess, snapshot_id: str) -> bool:
    row = snapshot(cloud, snapshot_id)
    return row is not None and (row.status, row.progress, row.provider_name in names(cloud), row.volume_id in cloud.driver.volumes.switched) == (
        "available", 100, True, True)


def has_no_snapshot(cloud: OneProcess, snapshot_id: str, _reason: str) -> bool:
    row = snapshot(cloud, snapshot_id)
    return row is not None and (row.status, row.provider_name in names(cloud)) == ("error", False)


def delete_snapshot(cloud: OneProcess) -> tuple[str, int]:
    snapshot_id, action_id = create_snapshot(cloud)
    cloud.run(action_id)
    with cloud.database.writer() as session:
        snapshots.begin_delete(session, snapshots.get(session, snapshot_id))
    return snapshot_id, begin(cloud, (actions.SNAPSHOT, snapshot_id), "delete_snapshot")


def snapshot_is_gone(cloud: OneProcess, snapshot_id: str) -> bool:
    return snapshot(cloud, snapshot_id) is None and snapshots.provider_name(snapshot_id) not in names(cloud)


def snapshot_is_error_deleting(cloud: OneProcess, snapshot_id: str, _reason: str) -> bool:
    row = snapshot(cloud, snapshot_id)
    return row is not None and row.status == "error_deleting"


def revert(cloud: OneProcess) -> tuple[str, int]:
    volume_id = made(cloud)
    snapshot_id, action_id = begin_snapshot(cloud, volume_id)
    cloud.run(action_id)
    with cloud.database.writer() as session:
        snapshots.set_status(session, snapshot_id, SnapshotStatus.RESTORING, among=["available"])
    return volume_id, begin_on(cloud, volume_id, "revert_volume", snapshot_id=snapshot_id)


def _reverted(cloud: OneProcess, volume_id: str, status: str) -> bool:
    with cloud.database.reader() as session:
        (its,) = snapshots.of_volume(session, volume_id)
    return (volume(cloud, volume_id).status, its.status) == (status, "available")


def is_reverted(cloud: OneProcess, volume_id: str) -> bool:
    return _reverted(cloud, volume_id, "available")


def is_not_reverted(cloud: OneProcess, volume_id: str, _reason: str) -> bool:
    return _reverted(cloud, volume_id, "error")


def upload(cloud: OneProcess) -> tuple[str, int]:
    volume_id = made(cloud)
    with cloud.database.writer() as session:
        image = Image(owner=CTXT.project_id, name="of a volume", status=images.QUEUED, disk_format="raw", container_format="bare")
        session.add(image)
        session.flush()
        image_id = image.id
    return volume_id, begin_on(cloud, volume_id, "upload_volume", image_id=image_id, disk_format="raw")


def _images_of_volumes(cloud: OneProcess) -> list[str]:
    with cloud.database.reader() as session:
        return [image.status for image in session.query(Image).filter(Image.name == "of a volume")]


def is_uploaded(cloud: OneProcess, volume_id: str) -> bool:
    return volume(cloud, volume_id).status == "available" and _images_of_volumes(cloud) == ["active"]


def is_not_uploaded(cloud: OneProcess, volume_id: str, _reason: str) -> bool:
    return volume(cloud, volume_id).status == "available" and _images_of_volumes(cloud) == ["deleted"]


def _two_pools(cloud: OneProcess) -> None:
    """A second backend of the worker, of another name."""
    cloud.add_backend("other")


def retype(cloud: OneProcess) -> tuple[str, int]:
    """To a type of the other backend."""
    volume_id = made(cloud)
    _two_pools(cloud)
    with cloud.database.writer() as session:
        kind = volume_types.add(session, VolumeType(name="elsewhere", extra_specs={"volume_backend_name": "other"}))
        type_id = kind.id
    return volume_id, begin_on(cloud, volume_id, "retype_volume", volume_type_id=type_id, may_migrate=True)


def is_retyped(cloud: OneProcess, volume_id: str) -> bool:
    row = volume(cloud, volume_id)
    with cloud.database.reader() as session:
        kind = volume_types.by_ids(session, {row.volume_type_id or ""}).get(row.volume_type_id or "")
    return kind is not None and kind.name == "elsewhere" and is_moved(cloud, volume_id)


def migrate(cloud: OneProcess) -> tuple[str, int]:
    volume_id = made(cloud)
    _two_pools(cloud)
    with cloud.database.writer() as session:
        volumes.begin_migration(session, volumes.get(session, volume_id), is_locked=True)
    return volume_id, begin(cloud, (actions.VOLUME, volume_id), "migrate_volume", host="node@other#other")


def _places(cloud: OneProcess) -> tuple[list[str], list[str], list[tuple[str, int]], int]:
    """What is in each pool, what is claimed of them, and how many volumes there are."""
    with cloud.database.reader() as session:
        claims = [(pool.name, pool.claimed_gb) for pool in session.query(Pool).order_by(Pool.name)]
        count = session.query(Volume).count()
    there = [sorted(cloud.volume_worker.backends.get(name, action="look").pool.names()) for name in ("local", "other")]
    return there[0], there[1], claims, count


def is_moved(cloud: OneProcess, volume_id: str) -> bool:
    row = volume(cloud, volume_id)
    return ((row.status, row.migration_status, row.host) == ("available", "success", "node@other#other")
            and _places(cloud) == ([], [row.provider_name], [(POOL, 0), ("node@other#other", _SIZE_GB)], 1))


def is_not_moved(cloud: OneProcess, volume_id: str, _reason: str) -> bool:
    row = volume(cloud, volume_id)
    return ((row.status, row.migration_status in (None, "error"), row.host) == ("available", True, POOL)
            and _places(cloud) == ([row.provider_name], [], [(POOL, _SIZE_GB), ("node@other#other", 0)], 1))


# Attachments


def active(cloud: OneProcess) -> str:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    return server_id


def reserve(cloud: OneProcess, server_id: str, volume_id: str, **columns: Any) -> str:
    """The attachment as the Compute API writes it."""
    with cloud.database.writer() as session:
        attachment = Attachment(project_id=CTXT.project_id, server_id=server_id, **{"mountpoint": "/dev/vdb", "mode": "rw", **columns})
        attachments.reserve(session, attachment, volumes.get_locked(session, volume_id))
        servers.get(session, server_id).has_volumes = True
        return attachment.id


def attach(cloud: OneProcess) -> tuple[str, int]:
    server_id = active(cloud)
    attachment_id = reserve(cloud, server_id, made(cloud))
    return server_id, cloud.begin_action(server_id, "attach_volume", inputs={"attachment_id": attachment_id})


def attached(cloud: OneProcess) -> tuple[str, str, str]:
    """A server with a volume: ids of the server, the attachment and the volume."""
    server_id, action_id = attach(cloud)
    cloud.run(action_id)
    assert is_attached(cloud, server_id)
    (attachment,) = of_server(cloud, server_id)
    return server_id, attachment.id, str(attachment.volume_id)


def of_server(cloud: OneProcess, server_id: str) -> list[Attachment]:
    with cloud.database.reader() as session:
        return attachments.of_server(session, server_id)


def exported(cloud: OneProcess, server_id: str | None = None) -> list[str]:
    """Ids of the attachments that nova-volume exports; `server_id`: without those of other servers."""
    ids = sorted(record.id for record in cloud.volume_worker.records.all() if record.kind == "attachment")
    if server_id is None:
        return ids
    with cloud.database.reader() as session:
        others = set(session.scalars(sa.select(Attachment.id).where(Attachment.server_id != server_id)))
    return [one for one in ids if one not in others]


def guest_volumes(cloud: OneProcess, server_id: str) -> list[str]:
    """Ids of the attachments that the guest has, as the record of its worker and the hypervisor say."""
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    held = sorted(disk.volume.attachment_id for disk in record.guest.disks if disk.volume is not None)
    assert sorted(disk.volume.attachment_id for disk in cloud.driver.guests.find(server_id).disks if disk.volume is not None) == held
    return held


def is_attached(cloud: OneProcess, server_id: str) -> bool:
    (attachment,) = of_server(cloud, server_id)
    row = volume(cloud, str(attachment.volume_id))
    server = cloud.server(server_id)
    return ((attachment.status, attachment.host, row.status) == (AttachmentStatus.ATTACHED, "node", "in-use")
            and exported(cloud, server_id) == guest_volumes(cloud, server_id) == [attachment.id]
            and (server.vm_state, server.task_state) == ("active", None))


def is_free(cloud: OneProcess, server_id: str) -> bool:
    """Nobody has the volume: neither rows nor workers."""
    with cloud.database.reader() as session:
        statuses = list(session.scalars(sa.select(Volume.status)))
    return (of_server(cloud, server_id), statuses, exported(cloud), guest_volumes(cloud, server_id)) == ([], ["available"], [], [])


def detach(cloud: OneProcess) -> tuple[str, int]:
    server_id, attachment_id, volume_id = attached(cloud)
    with cloud.database.writer() as session:
        attachments.set_status(session, attachment_id, AttachmentStatus.DETACHING, among=(AttachmentStatus.ATTACHED,))
        attachments.settle(session, volume_id)
    return server_id, cloud.begin_action(server_id, "detach_volume", inputs={"attachment_id": attachment_id})


def _reserved_for_host(cloud: OneProcess) -> tuple[str, str]:
    """An attachment as the Block Storage API writes it for a connector; ids of it and the volume."""
    volume_id = made(cloud)
    with cloud.database.writer() as session:
        attachment = Attachment(project_id=CTXT.project_id, server_id=new_id(), host="elsewhere", connector={"host": "elsewhere"}, mode="rw")
        attachments.reserve(session, attachment, volumes.get_locked(session, volume_id))
        return attachment.id, volume_id


def export(cloud: OneProcess) -> tuple[str, int]:
    attachment_id, _ = _reserved_for_host(cloud)
    return attachment_id, begin(cloud, (actions.ATTACHMENT, attachment_id), "export_attachment", attachment_id=attachment_id)


def _attachment(cloud: OneProcess, attachment_id: str) -> Attachment | None:
    with cloud.database.reader() as session:
        return session.get(Attachment, attachment_id)


def is_exported(cloud: OneProcess, attachment_id: str) -> bool:
    row = _attachment(cloud, attachment_id)
    return (row is not None and row.connection_info is not None and exported(cloud) == [attachment_id]
            and (row.status, volume(cloud, str(row.volume_id)).status) == ("attaching", "attaching"))


def is_reserved(cloud: OneProcess, attachment_id: str) -> bool:
    row = _attachment(cloud, attachment_id)
    return (row is not None and exported(cloud) == []
            and (row.status, volume(cloud, str(row.volume_id)).status) == ("reserved", "reserved"))


def unexport(cloud: OneProcess) -> tuple[str, int]:
    attachment_id, action_id = export(cloud)
    cloud.run(action_id)
    return attachment_id, begin(cloud, (actions.ATTACHMENT, attachment_id), "unexport_attachment", attachment_id=attachment_id)


def with_volume(cloud: OneProcess) -> tuple[str, int]:
    """A new server with a volume of its own, as the Compute API writes it; (server id, action id)."""
    volume_id = made(cloud)
    server_id, action_id = cloud.create_server(has_volumes=True)
    reserve(cloud, server_id, volume_id)
    with cloud.database.writer() as session:
        session.get_one(actions.Action, action_id).inputs = {"has_volumes": True}
    return server_id, action_id


def has_its_volumes(cloud: OneProcess, server_id: str) -> bool:
    """Rows and workers agree that the server's guest has what is the server's, and nobody anything else."""
    ids = sorted(one.id for one in of_server(cloud, server_id))
    return (exported(cloud, server_id) == guest_volumes(cloud, server_id) == ids
            and {(one.status, volume(cloud, str(one.volume_id)).status) for one in of_server(cloud, server_id)} <= {("attached", "in-use")})


def keeps_its_volumes(cloud: OneProcess, server_id: str) -> bool:
    """A server on no host: its volumes are reserved for it, and exported to nobody."""
    return exported(cloud, server_id) == [] and {
        (one.status, volume(cloud, str(one.volume_id)).status) for one in of_server(cloud, server_id)} <= {("reserved", "reserved")}


def are_free(cloud: OneProcess) -> bool:
    """No volume is anyone's."""
    with cloud.database.reader() as session:
        held, statuses = list(session.scalars(sa.select(Attachment.id))), set(session.scalars(sa.select(Volume.status)))
    return (held, statuses <= {"available"}, exported(cloud)) == ([], True, [])


def end(cloud: OneProcess) -> tuple[str, int]:
    attachment_id, action_id = export(cloud)
    cloud.run(action_id)
    return attachment_id, begin(cloud, (actions.ATTACHMENT, attachment_id), "delete_attachment", attachment_id=attachment_id)


def is_ended(cloud: OneProcess, attachment_id: str) -> bool:
    with cloud.database.reader() as session:
        statuses = list(session.scalars(sa.select(Volume.status)))
    return (_attachment(cloud, attachment_id), exported(cloud), statuses) == (None, [], ["available"])
