# SPDX-License-Identifier: Apache-2.0
"""What users of block storage learn of actions that failed: a message each, as Cinder's services leave them."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run
from nova_lite.db.volume import messages
from nova_lite.lifecycle.volume_messages import MessageAction, MessageDetail, MessageSubject

_VOLUME, _SNAPSHOT, _BACKUP = MessageSubject.VOLUME, MessageSubject.SNAPSHOT, MessageSubject.BACKUP
_UNKNOWN = MessageDetail.UNKNOWN
# By the action that failed. Those that Cinder has no number for leave none.
_KINDS: dict[str, tuple[MessageSubject, MessageAction, MessageDetail]] = {
    "attach_volume": (_VOLUME, MessageAction.ATTACH, MessageDetail.ATTACH_FAILED),
    "create_snapshot": (_SNAPSHOT, MessageAction.CREATE_SNAPSHOT, _UNKNOWN),
    "create_volume": (_VOLUME, MessageAction.CREATE, _UNKNOWN),
    "create_volume_backup": (_BACKUP, MessageAction.CREATE_BACKUP, _UNKNOWN),
    "delete_snapshot": (_SNAPSHOT, MessageAction.DELETE_SNAPSHOT, _UNKNOWN),
    "delete_volume_backup": (_BACKUP, MessageAction.DELETE_BACKUP, _UNKNOWN),
    "extend_volume": (_VOLUME, MessageAction.EXTEND, _UNKNOWN),
    "restore_volume_backup": (_BACKUP, MessageAction.RESTORE_BACKUP, _UNKNOWN),
    "upload_volume": (_VOLUME, MessageAction.UPLOAD, _UNKNOWN),
}


def record(session: Session, conf: cfg.ConfigOpts, name: str, run: Run[Any], error: errors.NovaLiteError) -> None:
    """The action of this name has failed: a message for the project that requested it; none for others' actions."""
    if name not in _KINDS or not run.ctxt.project_id:
        return
    subject, action, detail = _KINDS[name]
    if name == "create_volume" and not run.state.host:
        action, detail = MessageAction.SCHEDULE, MessageDetail.NO_BACKEND
    resource_id = run.state.volume_id if name == "attach_volume" else run.resource_id
    if not resource_id:
        return
    messages.add(session, conf, project_id=run.ctxt.project_id, request_id=run.ctxt.request_id or "", subject=subject, resource_id=resource_id,
                 action=action, detail=detail, reason=error.text)
