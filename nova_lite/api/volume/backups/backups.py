# SPDX-License-Identifier: Apache-2.0
"""One backup: shows, renames and deletes it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.backups import views
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.volume import backups
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.lifecycle.volumes import BackupStatus

_PROPERTIES = {"name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION}
_UPDATE = {since: schemas.keyed("backup", {**schemas.closed(properties), "minProperties": 1})
           for since, properties in (("3.9", _PROPERTIES), ("3.43", {**_PROPERTIES, "metadata": schemas.METADATA}))}


@route("GET", "/backups/{backup_id}", policy=Rule("backup:get", READER), response=closed(backup=views.DETAIL_RESPONSE))
def show(req: Request, backup_id: str) -> Body:
    """Show a backup.

    200 with it. 404: no such backup in the project.
    """
    return {"backup": views.details(req, [backups.get(req.db, backup_id, project_id=req.ctxt.visible_project)])[0]}


@route("PUT", "/backups/{backup_id}", policy=Rule("backup:update", MEMBER), since="3.9", body=_UPDATE, response=closed(backup=views.BRIEF))
def update(req: Request, body: Body, backup_id: str) -> Body:
    """Change name, description or metadata.

    200 with the backup. 400: there is nothing to change, or an unknown field. 404: no such backup in the project.
    """
    params = body["backup"]
    backup = backups.get_locked(req.db, backup_id, project_id=req.ctxt.visible_project)
    for name in ("name", "description"):
        if name in params:
            setattr(backup, name, None if params[name] is None else params[name].strip())
    if "metadata" in params:
        backup.metadata_items = params["metadata"]
    req.db.flush()
    return {"backup": views.brief(req, backup)}


@route("DELETE", "/backups/{backup_id}", policy=Rule("backup:delete", MEMBER), status=202)
def delete(req: Request, backup_id: str) -> None:
    """Delete a backup.

    202 with no body. 400: its status forbids it, or others add to it. 404: no such backup in the project.
    """
    begin_delete(req, backups.get(req.db, backup_id, project_id=req.ctxt.visible_project), is_forced=False)


def begin_delete(req: Request, backup: VolumeBackup, *, is_forced: bool) -> None:
    """Claim the backup for its deletion and record the action.

    :raises errors.BadRequest: what forbids it.
    """
    allowed = tuple(BackupStatus) if is_forced else backups.DELETABLE
    if not backups.set_status(req.db, backup, BackupStatus.DELETING, among=allowed):
        raise errors.WrongStatus(action="delete", what="Backup", id=backup.id, status=backup.status, allowed=", ".join(allowed))
    if backups.with_dependents(req.db, [backup.id]):
        raise errors.BadRequest(reason=f"Incremental backups exist for backup {backup.id}: delete them first.")
    if is_forced:
        begin_action.cancel_others(req, backup.id)
    begin_action.record(req, begin_action.BACKUP, backup.id, "delete_volume_backup", {})
