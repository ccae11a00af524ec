# SPDX-License-Identifier: Apache-2.0
"""Records of backups, by which another cloud, or this one after the loss of its database, knows them again."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common.schemas import UUID_FORM
from nova_lite.api.volume.backups import views
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.validation import MAX_INTEGER, moment
from nova_lite.db.volume import backups
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.lifecycle.volumes import BackupStatus

SERVICE = "cinder.backup.drivers.nova_lite"  # clients check how it begins
_RECORD = closed(**{"backup-record": closed(backup_service=STRING, backup_url=STRING)})
_BODY = schemas.keyed("backup-record", schemas.closed({
    "backup_service": {"type": "string", "minLength": 1, "maxLength": 255}, "backup_url": {"type": "string", "minLength": 1, "maxLength": 65536}},
    required=("backup_service", "backup_url")))
_TEXTS = ("name", "description", "availability_zone", "container", "snapshot_id", "parent_id", "host")


@route("GET", "/backups/{backup_id}/export_record", policy=Rule("backup:export-import", ADMIN), response=_RECORD)
def export_record(req: Request, backup_id: str) -> Body:
    """Write all that is known of a backup into a text.

    200 with it. 400: the backup is not available. 404: no such backup.
    """
    backup = backups.get(req.db, backup_id, project_id=req.ctxt.visible_project)
    if backup.status != BackupStatus.AVAILABLE:
        raise errors.WrongStatus(action="export", what="Backup", id=backup.id, status=backup.status, allowed=str(BackupStatus.AVAILABLE))
    record: Body = {name: getattr(backup, name) for name in _TEXTS}
    record |= {"id": backup.id, "volume_id": backup.volume_id, "size": backup.size_gb, "object_count": backup.object_count,
               "data_timestamp": micros(backup.data_timestamp), "metadata": backup.metadata_items, "of_volume": backup.of_volume,
               "details": backup.details}
    return {"backup-record": {"backup_service": SERVICE, "backup_url": base64.b64encode(json.dumps(record).encode()).decode()}}


@route("POST", "/backups/import_record", policy=Rule("backup:backup-import", ADMIN), status=201, body={"3.0": _BODY},
       response=closed(backup=views.BRIEF))
def import_record(req: Request, body: Body) -> Body:
    """Know a backup again by its record.

    201 with the backup. 400: the record is another service's or cannot be read, or the backup is known already.
    """
    params = body["backup-record"]
    if params["backup_service"] != SERVICE:
        raise errors.BadRequest(reason=f"Invalid backup: records of {params['backup_service']} cannot be imported, only those of {SERVICE}.")
    record = _decoded(params["backup_url"])
    if req.db.get(VolumeBackup, record["id"]) is not None:
        raise errors.BadRequest(reason=f"Invalid backup: backup {record['id']} exists already.")
    time = record.get("data_timestamp")
    backup = VolumeBackup(
        id=record["id"], volume_id=record["volume_id"], project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, size_gb=record["size"],
        status=str(BackupStatus.AVAILABLE), data_timestamp=moment(time) if isinstance(time, str) else None,
        object_count=record.get("object_count", 0), metadata_items=record.get("metadata", {}), of_volume=record.get("of_volume", {}),
        details=record.get("details", {}), **{name: record.get(name) for name in _TEXTS})
    req.db.add(backup)
    req.db.flush()
    return {"backup": views.brief(req, backup)}


def _decoded(text: str) -> dict[str, Any]:
    """:raises errors.BadRequest: it is no record."""
    try:
        record = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _unreadable("it is not JSON in base64") from None
    if not isinstance(record, dict):
        raise _unreadable("it is no JSON object")
    for name in ("id", "volume_id"):
        if not isinstance(record.get(name), str) or not UUID_FORM.fullmatch(record[name]):
            raise _unreadable(f"{name} is no UUID")
    for name in ("size", "object_count"):
        number = record.get(name, 0)
        if not isinstance(number, int) or not 0 <= number <= MAX_INTEGER:
            raise _unreadable(f"{name} is no number")
    for name in _TEXTS:
        if not isinstance(record.get(name), str | None) or len(record.get(name) or "") > (36 if name.endswith("_id") else 255):
            raise _unreadable(f"{name} is no text, or too long")
    if not all(isinstance(record.get(name, {}), dict) for name in ("metadata", "of_volume", "details")):
        raise _unreadable("metadata, of_volume and details are objects")
    record.setdefault("size", 0)
    return record


def _unreadable(reason: str) -> errors.BadRequest:
    return errors.BadRequest(reason=f"Invalid backup: the record cannot be read: {reason}.")
