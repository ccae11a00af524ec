# SPDX-License-Identifier: Apache-2.0
"""What a new volume is made from: nothing, an image, a snapshot or another volume, and what follows from that."""

from __future__ import annotations

import dataclasses
from typing import Any

from nova_lite import errors
from nova_lite.api.volume.common import find
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.validation import parse_json
from nova_lite.db.image import images
from nova_lite.db.volume import backups, snapshots, volumes
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import SnapshotStatus, VolumeStatus
from nova_lite.rpc.volume import ContentSource

GIB = 1 << 30
FORMATS = ("raw", "qcow2")  # of images that volumes are made from
_READABLE = (VolumeStatus.AVAILABLE, VolumeStatus.IN_USE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """`backup`: what is restored into the volume once it is made. `least_gb`: the least size of the volume; `default_gb`: its size if none is requested. `type_id`, `zone`: those of the source."""

    kind: ContentSource = ContentSource.BLANK
    id: str | None = None
    least_gb: int = 0
    default_gb: int | None = None
    type_id: str | None = None
    type_name: str | None = None
    zone: str | None = None
    bootable: bool = False
    image_id: str | None = None
    image_metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    is_encrypted: bool = False
    backup: VolumeBackup | None = None


def of(req: Request, params: Body) -> Source:
    """The source that the body names. Its row is locked until the new volume's is there.

    :raises errors.BadRequest: several are named, or the one cannot be copied now. :raises errors.NotFound: there is none such.
    :raises errors.Conflict: several images have the name.
    """
    image = params.get("imageRef") or params.get("image_id")
    sources = [key for key in ("snapshot_id", "source_volid", "backup_id") if params.get(key)] + (["imageRef"] if image else [])
    if len(sources) > 1:
        raise errors.BadRequest(reason=f"A volume is made from one source only, not from all of {', '.join(sources)}.")
    if params.get("snapshot_id"):
        return _of_snapshot(req, params["snapshot_id"])
    if params.get("source_volid"):
        return _of_volume(req, params["source_volid"])
    if params.get("backup_id"):
        return of_backup(backups.get_locked(req.db, params["backup_id"], project_id=req.ctxt.visible_project))
    return of_image(req, str(image)) if image else Source()


def _of_snapshot(req: Request, snapshot_id: str) -> Source:
    snapshot = snapshots.get_locked(req.db, snapshot_id, project_id=req.ctxt.visible_project)
    parent = volumes.get(req.db, snapshot.volume_id)
    if snapshot.status != SnapshotStatus.AVAILABLE or parent.status == VolumeStatus.DELETING:
        raise errors.BadRequest(
            reason=f"Originating snapshot status must be one of 'available' values, and snapshot {snapshot.id} is {snapshot.status}.")
    return _copy(ContentSource.SNAPSHOT, snapshot, parent)


def _of_volume(req: Request, volume_id: str) -> Source:
    volume = find.find_locked(req, volume_id)
    volumes.refuse_moved(volume)
    if volume.status not in _READABLE:
        raise errors.BadRequest(
            reason=f"Volume {volume.id} cannot be copied while its status is {volume.status}: it must be one of: {', '.join(_READABLE)}.")
    return _copy(ContentSource.VOLUME, volume, volume)


def of_backup(backup: VolumeBackup) -> Source:
    """A new volume for the backup's content, as the volume was that it is of."""
    was = backup.of_volume
    return Source(
        id=backup.id, least_gb=backup.size_gb, default_gb=backup.size_gb, type_id=was.get("volume_type_id"), bootable=was.get("bootable") is True,
        image_metadata=dict(was.get("image_metadata") or {}), is_encrypted=backup.encryption_key_id is not None, backup=backup)


def _copy(kind: ContentSource, of_what: VolumeSnapshot | Volume, parent: Volume) -> Source:
    return Source(
        kind=kind, id=of_what.id, least_gb=of_what.size_gb, default_gb=of_what.size_gb, type_id=of_what.volume_type_id,
        zone=parent.availability_zone, bootable=parent.bootable, image_id=parent.image_id, image_metadata=dict(parent.image_metadata),
        is_encrypted=parent.encryption_key_id is not None)


def of_image(req: Request, ref: str) -> Source:
    """The source that an image is, by its id, its URL or its name; errors as for `of`."""
    image = _image(req, ref)
    snapshot_id = _snapshot_of(image)
    if snapshot_id is not None:
        return dataclasses.replace(_of_snapshot(req, snapshot_id), bootable=True, image_id=image.id, image_metadata=_metadata(image))
    if image.disk_format not in FORMATS:
        raise errors.InvalidImage(id=image.id, reason=f"volumes are made from disk formats {' and '.join(FORMATS)}, not from {image.disk_format}")
    size = max(image.virtual_size or 0, image.size or 0) if image.disk_format == "raw" else image.virtual_size or image.size or 0
    return Source(
        kind=ContentSource.IMAGE, id=image.id, least_gb=max(image.min_disk_gb, -(-size // GIB)), bootable=True, image_id=image.id,
        type_name=image.properties.get("cinder_img_volume_type"), image_metadata=_metadata(image))


def _image(req: Request, ref: str) -> Any:  # a row of images
    """The image of this id, at this URL, or of this name.

    :raises errors.BadRequest: the caller sees none such, or it is not active. :raises errors.Conflict: several have the name.
    """
    try:
        return images.usable(req.db, ref.rpartition("/")[2], project_id=req.ctxt.visible_project)
    except errors.NotFound:
        named = images.page(req.db, project_id=req.ctxt.visible_project, filters=images.Filters(equal={"name": [ref]}), sort=(), limit=2)
    if len(named) > 1:
        raise errors.Conflict(reason=f"Multiple matches found for '{ref}', use an ID to be more specific.")
    if not named:
        raise errors.BadRequest(reason="Invalid image identifier or unable to access requested image.")
    return images.usable(req.db, named[0].id, project_id=req.ctxt.visible_project)


def _snapshot_of(image: Any) -> str | None:
    """The snapshot that is the root disk of an image without data, as made from a server that boots from a volume."""
    if image.size:
        return None
    mapping = parse_json(image.properties.get("block_device_mapping") or "[]", "The image's property block_device_mapping")
    for entry in mapping if isinstance(mapping, list) else ():
        if isinstance(entry, dict) and entry.get("source_type") == "snapshot" and entry.get("boot_index") == 0:
            return str(entry.get("snapshot_id"))
    return None


def _metadata(image: Any) -> dict[str, str]:
    """The image's properties and main attributes, as a volume keeps them of the image that it was made from."""
    own = {"image_id": image.id, "image_name": image.name, "checksum": image.checksum, "container_format": image.container_format,
           "disk_format": image.disk_format, "min_disk": image.min_disk_gb, "min_ram": image.min_ram_mb, "size": image.size}
    return {**image.properties, **{name: str(value) for name, value in own.items() if value is not None}}
