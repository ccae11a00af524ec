# SPDX-License-Identifier: Apache-2.0
"""Exports of volumes to the hosts of clients, and their ends: a request begins them, and waits until a worker has done them."""

from __future__ import annotations

import json

from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.api.volume.common import begin_action
from nova_lite.api.volume.common.schemas import Schema
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.compute import actions
from nova_lite.db.volume import attachments
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.pools import Pool
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus

WAIT_S = 60.0  # after which clients time out
_TEXT: Schema = {"type": ["string", "null"], "maxLength": 255}
CONNECTOR: Schema = {
    "type": "object", "minProperties": 1, "maxProperties": 32, "required": ["host"],
    "properties": {"host": {"type": "string", "minLength": 1, "maxLength": 255}, "ip": _TEXT, "initiator": _TEXT, "mountpoint": _TEXT,
                   "mode": {"enum": ["rw", "ro", None]}}}
_MAX_BYTES = 8192


def begin_export(req: Request, attachment: Attachment, volume: Volume, connector: Body) -> int:
    """Have the volume made reachable for the connector's host; the action's id.

    :raises errors.BadRequest: the connector is too large, its host cannot reach the pool, or the server has a device of that name.
    """
    if len(json.dumps(connector)) > _MAX_BYTES:
        raise errors.BadRequest(reason=f"Invalid input for connector: it has at most {_MAX_BYTES} bytes.")
    pool = None if volume.host is None else req.db.get(Pool, volume.host)
    if volume.host is None or (pool is not None and pool.reach == "host" and connector["host"] != volume.agent):
        raise errors.BadRequest(reason=f"Volume {volume.id} cannot be reached from host {connector['host']}.")
    mountpoint = connector.get("mountpoint") or attachment.mountpoint
    try:
        with req.db.begin_nested():  # the unique key decides between two requests
            attachment.mountpoint = mountpoint
    except IntegrityError:
        raise errors.BadRequest(reason=f"Instance {attachment.server_id} has a device {mountpoint} already.") from None
    attachment.connector, attachment.host = connector, connector["host"]
    attachment.mode = connector.get("mode") or attachment.mode
    req.db.flush()
    return begin_action.record(req, begin_action.ATTACHMENT, attachment.id, "export_attachment", {})


def end(req: Request, attachment: Attachment) -> int | None:
    """End the attachment, whose row is locked: at once if nothing is exported for it (None), else by an action; its id."""
    begin_action.cancel_others(req, attachment.id)
    if attachment.connector is None:
        attachments.delete(req.db, attachment.id)
        attachments.settle(req.db, str(attachment.volume_id))
        return None
    attachments.set_status(req.db, attachment.id, AttachmentStatus.DETACHING, among=tuple(AttachmentStatus))
    attachments.settle(req.db, str(attachment.volume_id))
    return begin_action.record(req, begin_action.ATTACHMENT, attachment.id, "delete_attachment", {})


def wait(req: Request, action_id: int, what: str) -> None:
    """Return once the action has succeeded.

    :raises errors.WorkerError: it failed, or takes longer than WAIT_S; `what` the client hears of then.
    """
    outcome = req.waiting.wait_for_end(action_id, deadline=req.began + WAIT_S)
    state, reason = outcome or ("", f"it is still under way after {WAIT_S:.0f} s")
    if state != actions.DONE:
        raise errors.WorkerError(f"{what}: {reason}", reason=str(reason))
