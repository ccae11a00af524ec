# SPDX-License-Identifier: Apache-2.0
"""Actions of administrators on backups: os-reset_status and os-force_delete."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.backups.backups import begin_delete
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import backups
from nova_lite.lifecycle.volumes import BackupStatus

_PATH = "/backups/{backup_id}/action"
_SETTABLE = (BackupStatus.AVAILABLE, BackupStatus.ERROR)
_RESET = schemas.keyed("os-reset_status", schemas.closed({"status": {"type": "string", "minLength": 1, "maxLength": 64}}, required=("status",)))


@action("os-reset_status", path=_PATH, policy=Rule("volume_extension:backup_admin_actions:reset_status", ADMIN), body={"3.0": _RESET})
def reset_status(req: Request, body: Body, backup_id: str) -> None:
    """Set the status that a backup shows. No backup of this cloud ever needs it.

    202 with no body. 400: it is neither available nor error. 404: no such backup.
    """
    backup, status = backups.get(req.db, backup_id, project_id=req.ctxt.visible_project), body["os-reset_status"]["status"].lower()
    if status not in _SETTABLE:
        raise errors.BadRequest(reason=f"Backup status: {status} is invalid, valid statuses are: {', '.join(_SETTABLE)}.")
    backups.set_status(req.db, backup, BackupStatus(status), among=tuple(BackupStatus))


@action("os-force_delete", path=_PATH, policy=Rule("volume_extension:backup_admin_actions:force_delete", ADMIN),
        body={"3.0": schemas.keyed("os-force_delete", {})})
def force_delete(req: Request, body: Body, backup_id: str) -> None:
    """Delete a backup whatever its status.

    202 with no body. 400: others add to it. 404: no such backup.
    """
    begin_delete(req, backups.get(req.db, backup_id, project_id=req.ctxt.visible_project), is_forced=True)
