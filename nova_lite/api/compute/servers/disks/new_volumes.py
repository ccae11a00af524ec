# SPDX-License-Identifier: Apache-2.0
"""Volumes of new servers: existing ones are reserved for them, others are made with them, in the transaction that writes the server."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.servers import boot_image
from nova_lite.api.compute.servers.boot_image import BootImage
from nova_lite.api.compute.servers.disks.block_devices import BlockDevice, BlockDevices
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.validation import integer
from nova_lite.api.wsgi.versions import Version
from nova_lite.db.base import new_id
from nova_lite.db.compute import actions
from nova_lite.db.volume import attachments, quota, snapshots, volume_types, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import SnapshotStatus, VolumeStatus
from nova_lite.values import device_names

_TO_MANY = Version(2, 60)


@dataclasses.dataclass(frozen=True)
class PlannedVolume:
    """A disk of a new server. `existing`: the volume's id, None: one of this type and size is made, from an image of these properties."""

    device: BlockDevice
    size_gb: int
    existing: str | None = None
    type: VolumeType | None = None
    image: BootImage | None = None
    image_metadata: dict[str, str] = dataclasses.field(default_factory=dict)


def plan(req: Request, devices: BlockDevices) -> list[PlannedVolume]:
    """What the volumes of the request are, each of which is there and free.

    :raises errors.BadRequest: one cannot be used; the reason names it.
    """
    return [_plan(req, device) for device in devices.volumes]


def _plan(req: Request, device: BlockDevice) -> PlannedVolume:
    if device.source == "volume":
        volume = _existing(req, device)
        return PlannedVolume(device, volume.size_gb, existing=volume.id, image_metadata=dict(volume.image_metadata))
    if device.source == "snapshot":
        snapshot, origin = _snapshot(req, device)
        size_gb = device.size_gb or snapshot.size_gb
        if size_gb < snapshot.size_gb:
            raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: volume_size {size_gb} is less than the {snapshot.size_gb} GiB of snapshot {snapshot.id}.")
        return PlannedVolume(device, size_gb, type=_type(req, device, snapshot.volume_type_id),
                             image_metadata=dict(origin.image_metadata) if origin is not None else {})
    image = boot_image.find(req, str(device.source_id)) if device.source == "image" else None
    size_gb = int(device.size_gb or 0)
    if image is not None and size_gb < max(image.min_disk_gb, -(-max(image.virtual_size, image.size) >> 30)):
        raise errors.BadRequest(reason=f"Volume is smaller than the minimum size specified in image metadata: volume_size {size_gb} GiB is less than image {image.id} needs.")
    return PlannedVolume(device, size_gb, type=_type(req, device, None), image=image, image_metadata=dict(image.properties) if image else {})


def _existing(req: Request, device: BlockDevice) -> Volume:
    try:
        volume = volumes.get(req.db, str(device.source_id), project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: failed to get volume {device.source_id}.") from None
    if volume.multiattach and req.version < _TO_MANY:
        raise errors.BadRequest(reason="Multiattach volumes are only supported starting with compute API version 2.60.")
    if volume.status != VolumeStatus.AVAILABLE and not (volume.multiattach and volume.status == VolumeStatus.IN_USE):
        raise errors.BadRequest(reason=f"Invalid volume: volume '{volume.id}' status must be 'available'. Currently in '{volume.status}'")
    if device.is_root and not volume.bootable:
        raise errors.BadRequest(reason=f"Block Device {volume.id} is not bootable.")
    return volume


def _snapshot(req: Request, device: BlockDevice) -> tuple[snapshots.VolumeSnapshot, Volume | None]:
    try:
        snapshot = snapshots.get(req.db, str(device.source_id), project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: failed to get snapshot {device.source_id}.") from None
    if snapshot.status != SnapshotStatus.AVAILABLE:
        raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: snapshot {snapshot.id} is not available, but {snapshot.status}.")
    origin = next(iter(volumes.by_ids(req.db, [snapshot.volume_id])), None)
    if device.is_root and origin is not None and not origin.bootable:
        raise errors.BadRequest(reason=f"Block Device {snapshot.id} is not bootable.")
    return snapshot, origin


def _type(req: Request, device: BlockDevice, of_source: str | None) -> VolumeType:
    """:raises errors.BadRequest: there is no such type for the caller."""
    name = device.volume_type or of_source
    try:
        if name is None:
            return volume_types.default(req.db, req.conf, project_id=req.ctxt.project_id)
        return volume_types.get(req.db, name, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Volume type {name} could not be found.") from None


def boot_source(planned: Sequence[PlannedVolume], image_id: str | None) -> BootImage:
    """What a server that boots from a volume knows of an image: the properties that are kept with the volume."""
    root = next(one for one in planned if one.device.is_root)
    if root.image is not None:
        return dataclasses.replace(root.image, id=image_id or "")
    known = root.image_metadata
    properties = {name: value for name, value in known.items() if name not in _OF_IMAGES}
    return BootImage(id=image_id or "", min_disk_gb=0, min_ram_mb=_least_ram(known), size=0, virtual_size=0, properties=properties)


def _least_ram(metadata: Mapping[str, str]) -> int:
    """:raises errors.BadRequest: it is no number: users write these items as they like."""
    least = integer(str(metadata.get("min_ram") or 0))
    if least is None:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: the volume's image metadata min_ram is no number.")
    return least


_OF_IMAGES = ("checksum", "container_format", "disk_format", "image_id", "image_name", "min_disk", "min_ram", "size")


def quota_of(planned: Sequence[PlannedVolume], *, count: int) -> dict[str, int]:
    """What so many servers add to the project's usage of block storage."""
    wanted: dict[str, int] = {}
    for one in planned:
        if one.type is not None:
            for name, amount in quota.for_volume(one.type.name, one.size_gb).items():
                wanted[name] = max(wanted.get(name, 0), amount) if name == "per_volume_gigabytes" else wanted.get(name, 0) + amount * count
    return wanted


def write(req: Request, server_id: str, planned: Sequence[PlannedVolume], *, root_device: str, first_disks: int) -> None:
    """Reserve the existing volumes for the server, and begin to make the others.

    :raises errors.BadRequest: another server has just got one.
    """
    prefix = device_names.prefix(root_device)
    names: set[str] = set()
    for one in planned:
        name = root_device if one.device.is_root else device_names.next_free(prefix, names, after=first_disks)
        if name is None:
            raise errors.BadRequest(reason="Block Device Mapping is Invalid: the server has more disks than it may have.")
        names.add(name)
        device = one.device
        attachment = Attachment(
            project_id=req.ctxt.project_id, server_id=server_id, mountpoint=name, mode="rw", source=device.source, source_id=device.source_id,
            size_gb=one.size_gb, boot_index=device.boot_index, disk_bus=device.disk_bus, device_type=device.device_type, tag=device.tag,
            delete_on_termination=device.delete_on_termination)
        if one.existing is not None:
            _reserve(req, attachment, one.existing)
        else:
            _make(req, attachment, one)


def _reserve(req: Request, attachment: Attachment, volume_id: str) -> None:
    volume = volumes.get_locked(req.db, volume_id)
    if volume.is_read_only:
        attachment.mode = "ro"
    try:
        attachments.reserve(req.db, attachment, volume)
    except errors.InUse as taken:
        raise errors.BadRequest(reason=taken.text) from None


def _make(req: Request, attachment: Attachment, planned: PlannedVolume) -> None:
    """Write the volume and its action; it is the server's from the beginning."""
    assert planned.type is not None
    volume_id, source = new_id(), planned.device
    metadata: dict[str, Any] = planned.image_metadata
    volume = Volume(
        id=volume_id, project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name="", description="", size_gb=planned.size_gb,
        provider_name=volumes.provider_name(volume_id), volume_type_id=planned.type.id, multiattach=planned.type.is_multiattach,
        snapshot_id=source.source_id if source.source == "snapshot" else None, image_id=source.source_id if source.source == "image" else None,
        bootable=source.source in ("image", "snapshot"), image_metadata={str(name): str(value) for name, value in metadata.items()})
    req.db.add(volume)
    attachment.volume_id, attachment.exclusive_id = volume_id, None if volume.multiattach else volume_id
    req.db.add(attachment)
    req.db.flush()
    begun = actions.begin(
        req.db, (actions.VOLUME, volume_id), "create_volume", actions.Requester(req.ctxt.request_id, req.ctxt.user_id, req.ctxt.project_id),
        inputs={"source": source.source, "source_id": source.source_id or ""})
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=begun.id)
