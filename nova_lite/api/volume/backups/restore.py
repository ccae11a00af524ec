# SPDX-License-Identifier: Apache-2.0
"""A backup's content comes back: into a new volume, or into one that is there."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.volume.volumes import sources
from nova_lite.api.volume.volumes.create import begin_restore, make
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, UUID, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import backups, volumes
from nova_lite.db.volume.volumes import Volume

_BODY = schemas.keyed("restore", {**schemas.closed({"volume_id": schemas.UUID_OR_NULL, "name": schemas.NAME_OR_NULL}), "type": ["object", "null"]})
_RESPONSE = closed(restore=closed(backup_id=UUID, volume_id=UUID, volume_name=STRING))


@route("POST", "/backups/{backup_id}/restore", policy=Rule("backup:restore", MEMBER), status=202, body={"3.0": _BODY}, response=_RESPONSE)
def restore(req: Request, body: Body, backup_id: str) -> Body:
    """Restore the backup into a volume, a new one if none is named; what that one had is lost.

    202 with the volume. 400: the backup or the volume is not available, or the volume is smaller. 404: no such backup or volume in the
    project. 413: over the quota of volumes.
    """
    params = body["restore"] or {}
    backup = backups.get_locked(req.db, backup_id, project_id=req.ctxt.visible_project)
    if params.get("volume_id"):
        volume = _existing(req, params["volume_id"], backup.size_gb)
        begin_restore(req, backup, volume)
    else:
        name = (params.get("name") or "").strip() or f"restore_backup_{backup.id}"
        volume = make(req, {"name": name, "description": backup.description, "metadata": backup.of_volume.get("metadata")}, sources.of_backup(backup))
    return {"restore": {"backup_id": backup.id, "volume_id": volume.id, "volume_name": volume.name or ""}}


def _existing(req: Request, volume_id: str, size_gb: int) -> Volume:
    volume = find_locked(req, volume_id)
    if volume.size_gb < size_gb:
        raise errors.BadRequest(reason=f"volume size {volume.size_gb} is too small to restore backup of size {size_gb}.")
    volumes.begin(req.db, volume, "restore_volume")
    return volume
