# SPDX-License-Identifier: Apache-2.0
"""`POST /backups`: checks the volume or its snapshot and the quota, writes the row, and has a conductor make the backup."""

from __future__ import annotations

import datetime

from nova_lite import errors
from nova_lite.api.volume.backups import views
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.volume import backups, quota, snapshots, volumes
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import SnapshotStatus, VolumeStatus

_PROPERTIES = {
    "volume_id": schemas.UUID, "name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION, "incremental": schemas.BOOLEAN,
    "container": {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "pattern": r"^[^/\x00-\x1f]+$"}, "force": schemas.BOOLEAN,
    "snapshot_id": schemas.UUID_OR_NULL}
_WITH_METADATA = {**_PROPERTIES, "metadata": schemas.METADATA_OR_NULL}
_WITH_ZONE = {**_WITH_METADATA, "availability_zone": {"type": ["string", "null"], "maxLength": 255}}
_BODY = {since: schemas.keyed("backup", schemas.closed(properties, required=("volume_id",)))
         for since, properties in (("3.0", _PROPERTIES), ("3.43", _WITH_METADATA), ("3.51", _WITH_ZONE))}


@route("POST", "/backups", policy=Rule("backup:create", MEMBER), status=202, body=_BODY, response=closed(backup=views.BRIEF))
def create(req: Request, body: Body) -> Body:
    """Back a volume up, as it is or as one of its snapshots has it; `incremental`: what has changed since its newest backup.

    202 with the backup, whose status becomes available. 400: the volume is neither available nor in use with `force`, the snapshot is
    another volume's or not available, or there is no backup to add to. 404: no such volume or snapshot in the project. 413: over quota.
    """
    params = body["backup"]
    volume = find_locked(req, params["volume_id"])
    snapshot = _snapshot(req, volume, params)
    moment = snapshot.created_at if snapshot is not None else utcnow()
    parent = _parent(req, volume, snapshot) if schemas.is_true(params.get("incremental")) else None
    quota.check(req.db, req.conf, req.ctxt.project_id, quota.for_backup(volume.size_gb))
    _claim(req, volume, snapshot, is_forced=schemas.is_true(params.get("force")))
    backup = _add(req, params, volume, parent, moment)
    begin_action.record(req, begin_action.BACKUP, backup.id, "create_volume_backup", {})
    return {"backup": views.brief(req, backup)}


def _snapshot(req: Request, volume: Volume, params: Body) -> VolumeSnapshot | None:
    """:raises errors.NotFound: there is none such. :raises errors.BadRequest: it is another volume's."""
    if not params.get("snapshot_id"):
        return None
    snapshot = snapshots.get_locked(req.db, params["snapshot_id"], project_id=req.ctxt.visible_project)
    if snapshot.volume_id != volume.id:
        raise errors.BadRequest(reason=f"Snapshot {snapshot.id} does not belong to volume {volume.id}.")
    return snapshot


def _parent(req: Request, volume: Volume, snapshot: VolumeSnapshot | None) -> VolumeBackup:
    """:raises errors.BadRequest: the volume has no backup that the new one can add to."""
    parent = backups.newest(req.db, volume.id, project_id=volume.project_id, before=None if snapshot is None else snapshot.created_at)
    if parent is None:
        raise errors.BadRequest(reason="No backups available to do an incremental backup: make a full one first.")
    return parent


def _claim(req: Request, volume: Volume, snapshot: VolumeSnapshot | None, *, is_forced: bool) -> None:
    """:raises errors.BadRequest: the volume's status, or the snapshot's, forbids it."""
    if snapshot is not None:
        if not snapshots.set_status(req.db, snapshot.id, SnapshotStatus.BACKING_UP, among=[str(SnapshotStatus.AVAILABLE)]):
            raise errors.BadRequest(reason=f"Snapshot to be backed up must be available, but the current status is \"{snapshot.status}\".")
        return
    if volume.status == VolumeStatus.IN_USE and not is_forced:
        raise errors.BadRequest(reason=f"Backing up an in-use volume must use the force flag: {volume.id} is in use.")
    volumes.begin(req.db, volume, "backup_volume")


def _add(req: Request, params: Body, volume: Volume, parent: VolumeBackup | None, moment: datetime.datetime) -> VolumeBackup:
    name, description = params.get("name"), params.get("description")
    backup = VolumeBackup(
        id=new_id(), volume_id=volume.id, project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name=None if name is None else name.strip(),
        description=description, size_gb=volume.size_gb, availability_zone=params.get("availability_zone") or volume.availability_zone,
        container=params.get("container"), snapshot_id=params.get("snapshot_id"), parent_id=None if parent is None else parent.id,
        data_timestamp=moment, encryption_key_id=volume.encryption_key_id, metadata_items=params.get("metadata") or {},
        of_volume={"metadata": volume.metadata_items, "image_metadata": volume.image_metadata, "bootable": volume.bootable,
                   "volume_type_id": volume.volume_type_id})
    req.db.add(backup)
    req.db.flush()
    return backup
