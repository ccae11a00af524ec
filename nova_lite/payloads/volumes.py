# SPDX-License-Identifier: Apache-2.0
"""Turns rows of block storage into payloads for nova-volume and nova-compute."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.db.volume import attachments, backups, qos_specs, snapshots, volume_types, volumes
from nova_lite.lifecycle.volumes import AttachmentStatus
from nova_lite.payloads.environment import Environment
from nova_lite.rpc import volume as rpc
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection

_PER_GB = "_per_gb"


def volume(session: Session, row: volumes.Volume, *, size_gb: int | None = None) -> rpc.Volume:
    """The volume for the worker of its pool; `size_gb`: that it is to have, in place of its own."""
    return rpc.Volume(
        volume_id=volumes.name_id(row), project_id=row.project_id, backend=row.backend, pool=row.pool, size_gb=size_gb or row.size_gb,
        provider_name=row.provider_name, extra_specs=extra_specs(session, row))


def extra_specs(session: Session, row: volumes.Volume) -> dict[str, str]:
    """Those of the volume's type."""
    return specs_of(session, row.volume_type_id) if row.volume_type_id else {}


def specs_of(session: Session, type_id: str) -> dict[str, str]:
    """The extra specs of a type; none of one that is gone."""
    found = volume_types.by_ids(session, {type_id}).get(type_id)
    return dict(found.extra_specs) if found is not None else {}


def snapshot(session: Session, row: snapshots.VolumeSnapshot, of: volumes.Volume) -> rpc.Snapshot:
    return rpc.Snapshot(snapshot_id=row.id, volume=volume(session, of), provider_name=row.provider_name)


def backup(session: Session, row: backups.VolumeBackup, of: volumes.Volume | None) -> rpc.Backup:
    """`of`: the volume; None: it is not looked at, and may be gone."""
    gone = rpc.Volume(volume_id=row.volume_id, project_id=row.project_id, backend="", pool="", size_gb=row.size_gb, provider_name="")
    return rpc.Backup(
        backup_id=row.id, volume_id=row.volume_id, parent_id=row.parent_id or "", digest=str(row.details.get("digest") or ""),
        volume=gone if of is None else volume(session, of))


def frozen(session: Session, row: backups.VolumeBackup, of: volumes.Volume) -> rpc.Snapshot:
    """The snapshot that a backup of a volume in use is read from; there is no row of it."""
    snapshot_id = str(uuid.uuid5(uuid.UUID(row.id), "snapshot"))
    return rpc.Snapshot(snapshot_id=snapshot_id, volume=volume(session, of), provider_name=snapshots.provider_name(snapshot_id))


def export(session: Session, attachment: attachments.Attachment, of: volumes.Volume) -> rpc.Export:
    """An attachment for the worker of its volume's pool; `connector` is Cinder's, of which `ip` and `initiator` count."""
    connector = attachment.connector or {}
    return rpc.Export(
        attachment_id=attachment.id, volume=volume(session, of), is_read_only=attachment.mode == "ro" or of.is_read_only,
        is_shared=of.multiattach, connector=rpc.Connector(
            host=str(connector.get("host") or attachment.host or ""), ip=str(connector.get("ip") or ""),
            initiator=str(connector.get("initiator") or "")))


def connection(environment: Environment, attachment: attachments.Attachment) -> dict[str, Any]:
    """The attachment's connection_info; empty: it has none, or its key was deleted."""
    opened = environment.open_secret(attachment.connection_info) if attachment.connection_info else None
    found: dict[str, Any] = json.loads(opened) if opened else {}
    return found


def disks(session: Session, environment: Environment, server_id: str) -> tuple[GuestDisk, ...]:
    """The server's volumes, in the order of their names; those that are being detached are left out."""
    found = [one for one in attachments.of_server(session, server_id) if one.volume_id is not None and one.status != AttachmentStatus.DETACHING]
    by_id = {row.id: row for row in volumes.by_ids(session, [str(one.volume_id) for one in found])}
    connected = [one for one in found if one.volume_id in by_id and one.connection_info is not None]
    return tuple(disk(session, environment, one, by_id[str(one.volume_id)]) for one in sorted(connected, key=lambda one: one.mountpoint or ""))


def limits(session: Session, of: volumes.Volume) -> dict[str, str]:
    """What the hypervisor is to keep the volume to, by the QoS specs of its type: Cinder's keys; those of a GiB are multiplied by its size."""
    kind = volume_types.by_ids(session, {of.volume_type_id}).get(of.volume_type_id) if of.volume_type_id else None
    if kind is None or kind.qos_specs_id is None:
        return {}
    specs = qos_specs.get(session, kind.qos_specs_id)
    return _limits(specs.specs, size_gb=of.size_gb) if specs.consumer in ("front-end", "both") else {}


def _limits(specs: Mapping[str, str], *, size_gb: int) -> dict[str, str]:
    found = {name: value for name, value in specs.items() if not name.endswith(_PER_GB)}
    for name, value in specs.items():
        plain = name.removesuffix(_PER_GB)
        if plain != name and value.isascii() and value.isdecimal():
            least = int(specs.get(f"{plain}{_PER_GB}_min", "0")) if specs.get(f"{plain}{_PER_GB}_min", "0").isdecimal() else 0
            found[plain] = str(max(int(value) * size_gb, least))
    return {name: value for name, value in found.items() if not name.endswith(f"{_PER_GB}_min")}


def disk(session: Session, environment: Environment, attachment: attachments.Attachment, of: volumes.Volume) -> GuestDisk:
    """The volume as its server's guest has it."""
    reached = connection(environment, attachment)
    if reached and (kept := limits(session, of)):
        reached = {**reached, "data": {**reached.get("data", {}), "qos_specs": kept}}
    return GuestDisk(
        source=DiskSource.VOLUME, size_mb=of.size_gb << 10, device=attachment.device_type or "disk", bus=attachment.disk_bus,
        boot_index=attachment.boot_index if attachment.boot_index is not None and attachment.boot_index >= 0 else None,
        tag=attachment.tag, name=attachment.mountpoint, volume=VolumeConnection(
            attachment_id=attachment.id, volume_id=of.id, connection=reached,
            is_read_only=attachment.mode == "ro" or of.is_read_only, is_shared=of.multiattach))
