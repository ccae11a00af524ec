# SPDX-License-Identifier: Apache-2.0
"""Notifications about volumes and snapshots, in Cinder's names and flat payloads."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.db.compute.actions import SNAPSHOT, VOLUME, Action
from nova_lite.db.volume import attachments
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume

Body = dict[str, Any]
# Action -> what Cinder's event is called. Actions that are not here are steps of others.
EVENTS = {
    "create_volume": "volume.create", "delete_volume": "volume.delete", "extend_volume": "volume.resize", "retype_volume": "volume.retype",
    "revert_volume": "volume.revert", "attach_volume": "volume.attach", "detach_volume": "volume.detach",
    "create_snapshot": "snapshot.create", "delete_snapshot": "snapshot.delete",
}


@dataclasses.dataclass(frozen=True)
class Notice:
    """`host`: whose worker it is about, for the publisher; empty: none yet."""

    event: str
    host: str
    content: Body


def notice(session: Session, action: Action) -> Notice | None:
    """What is to be sent about an action, without its phase; None: nothing is. The row may be gone, at the end of a delete."""
    event = EVENTS.get(action.name)
    if event is None:
        return None
    if action.resource_type == SNAPSHOT:
        return _of_snapshot(session, event, action)
    if action.resource_type == VOLUME:
        volume_id = action.resource_id
    else:
        attachment_id = {**action.inputs, **action.saved}.get("attachment_id")
        attachment = session.get(Attachment, attachment_id) if attachment_id else None
        volume_id = str(attachment.volume_id) if attachment is not None else str(action.saved.get("volume_id", ""))
    volume = session.get(Volume, volume_id)
    if volume is None:
        return Notice(event, str(action.saved.get("host") or ""), {
            "tenant_id": action.project_id, "user_id": action.user_id, "volume_id": volume_id, "status": "deleted"})
    return Notice(event, volume.host or "", _volume(session, volume))


def _volume(session: Session, volume: Volume) -> Body:
    return {
        "tenant_id": volume.project_id, "user_id": volume.user_id, "volume_id": volume.id, "display_name": volume.name, "host": volume.host,
        "availability_zone": volume.availability_zone, "volume_type": volume.volume_type_id, "size": volume.size_gb, "status": volume.status,
        "snapshot_id": volume.snapshot_id, "created_at": _time(volume.created_at), "launched_at": _time(volume.launched_at),
        "metadata": dict(volume.metadata_items), "glance_metadata": dict(volume.image_metadata), "replication_status": None,
        "replication_extended_status": None, "replication_driver_data": None,
        "volume_attachment": [{
            "id": one.id, "instance_uuid": one.server_id, "attached_host": one.host, "mountpoint": one.mountpoint, "attach_status": one.status,
            "attach_mode": one.mode, "attach_time": _time(one.attached_at)} for one in attachments.of_volume(session, volume.id)],
    }


def _of_snapshot(session: Session, event: str, action: Action) -> Notice:
    snapshot = session.get(VolumeSnapshot, action.resource_id)
    if snapshot is None:
        return Notice(event, str(action.saved.get("host") or ""), {
            "tenant_id": action.project_id, "user_id": action.user_id, "snapshot_id": action.resource_id, "status": "deleted", "deleted": True})
    volume = session.get(Volume, snapshot.volume_id)
    return Notice(event, (volume.host if volume is not None else None) or "", {
        "tenant_id": snapshot.project_id, "user_id": snapshot.user_id, "snapshot_id": snapshot.id, "volume_id": snapshot.volume_id,
        "availability_zone": volume.availability_zone if volume is not None else None, "volume_type": snapshot.volume_type_id,
        "display_name": snapshot.name, "volume_size": snapshot.size_gb, "status": snapshot.status, "created_at": _time(snapshot.created_at),
        "metadata": dict(snapshot.metadata_items), "deleted": False})


def _time(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
