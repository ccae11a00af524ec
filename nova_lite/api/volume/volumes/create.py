# SPDX-License-Identifier: Apache-2.0
"""`POST /volumes`: checks the source, type, zone and quota, writes the row, and has a conductor make the volume."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.volumes import sources, views
from nova_lite.api.volume.volumes.create_schemas import CREATE
from nova_lite.api.volume.volumes.sources import Source
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.base import new_id
from nova_lite.db.hosts import host_lists
from nova_lite.db.volume import backups, groups, quota, volume_types, volumes
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import BackupStatus
from nova_lite.rpc.volume import ContentSource

_FROM_IMAGE = Rule("volume:create_from_image", MEMBER)
_MULTIATTACH = Rule("volume:multiattach", MEMBER)
EXTRA_RULES = (_FROM_IMAGE, _MULTIATTACH)


@route("POST", "/volumes", policy=Rule("volume:create", MEMBER), status=202, body=CREATE, response=closed(volume=views.MADE_RESPONSE))
def create(req: Request, body: Body) -> Body:
    """Create a volume: empty, or with the content of an image, a snapshot or another volume.

    202 with the volume, whose status becomes available, or error with a message that says why. 400: the size is missing, no number above
    0 or less than the source needs, the zone is unknown, the source cannot be copied now, or the type does not fit it. 403: the policy
    forbids images or multiattach. 404: no such type, snapshot or source volume. 409: several images have the name. 413: over quota. 501:
    the type is encrypted.
    """
    params = body["volume"]
    _refuse_unsupported(params)
    volume = make(req, params, sources.of(req, params))
    return {"volume": views.made(req, volume)}


def make(req: Request, params: Body, source: Source) -> Volume:
    """Write the volume's row, and have a conductor make it.

    :raises errors.NovaLiteError: as `create` refuses.
    """
    if source.kind is ContentSource.IMAGE:
        req.policy.check(_FROM_IMAGE, req.ctxt)
    kind = _type(req, params, source)
    size_gb = _size(params, source)
    zone = _zone(req, params, source)
    group_id = _group(req, params, kind)
    quota.check(req.db, req.conf, req.ctxt.project_id, quota.for_volume(kind.name, size_gb))
    return add(req, params, source, kind, size_gb=size_gb, zone=zone, group_id=group_id)


def begin_restore(req: Request, backup: VolumeBackup, volume: Volume) -> None:
    """Have the backup's content brought into the volume, which is made first if it is in no pool.

    :raises errors.WrongStatus: the backup is not available.
    """
    if not backups.set_status(req.db, backup, BackupStatus.RESTORING, among=(BackupStatus.AVAILABLE,)):
        raise errors.WrongStatus(action="restore", what="Backup", id=backup.id, status=backup.status, allowed=str(BackupStatus.AVAILABLE))
    begin_action.record(req, begin_action.BACKUP, backup.id, "restore_volume_backup", {"volume_id": volume.id})


def _refuse_unsupported(params: Body) -> None:
    if schemas.is_true(params.get("multiattach")):
        raise errors.BadRequest(reason="multiattach is not a parameter any more: use a volume type with the extra spec multiattach='<is> True'.")
    if params.get("consistencygroup_id"):
        raise errors.BadRequest(reason="consistencygroup_id: there are no consistency groups; groups have superseded them.")


def _size(params: Body, source: Source) -> int:
    """:raises errors.BadRequest: it is missing, 0, or less than the source's."""
    size = params.get("size")
    size_gb = source.default_gb if size is None else integer(size) if isinstance(size, str) else int(size)
    if not size_gb:
        raise errors.BadRequest(reason=f"Invalid input received: Volume size '{size}' must be an integer and greater than 0")
    if size_gb < source.least_gb:
        raise errors.BadRequest(
            reason=f"Invalid input received: Volume size '{size_gb}'GB cannot be smaller than the {source.least_gb}GB that its {source.kind} needs.")
    return size_gb


def _type(req: Request, params: Body, source: Source) -> VolumeType:
    """The type that the request names, else the source's, else the default one.

    :raises errors.NotFound: there is no such type for the caller. :raises errors.BadRequest: it does not fit the source.
    :raises errors.PolicyForbids: it allows several attachments, and the policy forbids that to the caller.
    :raises errors.NotImplementedHere: it is encrypted.
    """
    name = params.get("volume_type") or source.type_id or source.type_name
    if source.backup is not None and not params.get("volume_type") and name not in volume_types.by_ids(req.db, {str(name)}):
        name = None  # deleted since the backup was made
    if name:
        kind = volume_types.get(req.db, name, project_id=req.ctxt.visible_project)
    else:
        kind = volume_types.default(req.db, req.conf, project_id=req.ctxt.project_id)
    if volume_types.encryption_of(req.db, kind.id) is not None:
        raise errors.NotImplementedHere(reason=f"Volume type {kind.name} is encrypted, and this cloud has no store of keys.")
    if source.is_encrypted:
        raise errors.BadRequest(
            reason=f"Invalid volume_type provided: {kind.name} (requested type is not compatible with that of the {source.kind}; "
                   "recommend omitting the type argument).")
    if kind.is_multiattach:
        req.policy.check(_MULTIATTACH, req.ctxt)
    return kind


def _zone(req: Request, params: Body, source: Source) -> str | None:
    """:raises errors.BadRequest: there is no such zone, or the source is in another one."""
    zone = params.get("availability_zone")
    if not zone:
        return source.zone
    if zone not in host_lists.volume_zones(req.db):
        raise errors.BadRequest(reason=f"Invalid input received: Availability zone '{zone}' is invalid.")
    if source.zone not in (None, zone):
        raise errors.BadRequest(reason=f"Invalid input received: the {source.kind} is in availability zone '{source.zone}', not in '{zone}'.")
    return str(zone)


def _group(req: Request, params: Body, kind: VolumeType) -> str | None:
    """The group that the volume is to be in, locked.

    :raises errors.NotFound: no such group in the project. :raises errors.BadRequest: it is not for this type, or is being deleted.
    """
    if not params.get("group_id"):
        return None
    group = groups.get(req.db, params["group_id"], project_id=req.ctxt.visible_project, is_locked=True)
    if kind.id not in group.volume_type_ids:
        raise errors.BadRequest(reason=f"Group {group.id} is not for volumes of type {kind.name}.")
    if group.status == groups.DELETING:
        raise errors.BadRequest(reason=f"Group {group.id} is being deleted.")
    return group.id


def add(  # the columns of a volume that its source does not say
    req: Request, params: Body, source: Source, kind: VolumeType, *, size_gb: int, zone: str | None, group_id: str | None,
) -> Volume:
    """Write the volume's row and the action that makes it. The caller has checked quota and source."""
    volume_id = new_id()
    volume = Volume(
        id=volume_id, project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name=text_of(params, "name"),
        description=text_of(params, "description"), size_gb=size_gb, availability_zone=zone, provider_name=volumes.provider_name(volume_id),
        volume_type_id=kind.id, snapshot_id=source.id if source.kind is ContentSource.SNAPSHOT else None,
        source_volume_id=source.id if source.kind is ContentSource.VOLUME else None, image_id=source.image_id, bootable=source.bootable, group_id=group_id,
        multiattach=kind.is_multiattach, metadata_items=params.get("metadata") or {}, image_metadata=source.image_metadata)
    req.db.add(volume)
    req.db.flush()
    if source.backup is not None:
        begin_restore(req, source.backup, volume)
        return volume
    inputs = {"source": str(source.kind), "source_id": source.id or ""}
    begin_action.record(req, begin_action.VOLUME, volume.id, "create_volume", inputs)
    return volume


def text_of(params: Body, name: str) -> str | None:
    """The text, or that of its old spelling, without white space around it; None: there is neither."""
    value = params.get(name)
    text = params.get(f"display_{name}") if value is None else value
    return None if text is None else str(text).strip()
