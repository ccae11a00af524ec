# SPDX-License-Identifier: Apache-2.0
"""os-reset_status and os-force_delete: what only administrators may do to a volume's status."""

from __future__ import annotations

from collections.abc import Iterable

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find, find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.volume.volumes.volumes import begin_delete
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import attachments, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.lifecycle.volumes import VolumeStatus

_STATUSES = tuple(str(status) for status in VolumeStatus)
_ATTACH_STATUSES = ("attached", "detached")
_MIGRATION_STATUSES = ("none", "migrating", "error", "success", "completing", "starting")
_NEVER = (VolumeStatus.DELETING, VolumeStatus.ERROR_DELETING)
_TEXT = {"type": ["string", "null"], "maxLength": 64}
_RESET = schemas.keyed("os-reset_status", {
    **schemas.closed({"status": _TEXT, "attach_status": _TEXT, "migration_status": _TEXT}), "minProperties": 1})
_FORCE_DELETE = schemas.keyed("os-force_delete", {})


@action("os-reset_status", path=ACTIONS, policy=Rule("volume_extension:volume_admin_actions:reset_status", ADMIN), body={"3.0": _RESET})
def reset_status(req: Request, body: Body, volume_id: str) -> None:
    """Set the status that a volume shows. No volume of this cloud ever needs it.

    202 with no body. 400: none is given or there is no such status, it is one of deletions, in-use without an attachment, or detached
    while a server has the volume. 404: no such volume.
    """
    params, present = body["os-reset_status"], attachments.lock_of_volume(req.db, volume_id)
    volume = find_locked(req, volume_id)
    status = _one_of("status", params.get("status"), _STATUSES)
    attach_status = _one_of("attach_status", params.get("attach_status"), _ATTACH_STATUSES)
    migration_status = _one_of("migration_status", params.get("migration_status"), _MIGRATION_STATUSES)
    if (status, attach_status, migration_status) == (None, None, None):
        raise errors.BadRequest(reason="Must specify 'status', 'attach_status' or 'migration_status' for update.")
    if status in _NEVER:
        raise errors.BadRequest(reason=f"Cannot reset-state to {status}")
    if status == VolumeStatus.IN_USE and not present:
        raise errors.BadRequest(reason="Cannot reset-state to in-use because volume does not have any attachments.")
    if attach_status == "detached":
        _forget_attachments(req, present)
    if migration_status is not None:
        volume.migration_status = None if migration_status == "none" else migration_status
    if status is not None:
        req.db.flush()
        volumes.set_status(req.db, volume, VolumeStatus(status), among=tuple(VolumeStatus), previous_status=None)


def _one_of(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
    text = value.lower() if value else None
    if text is not None and text not in known:
        raise errors.BadRequest(reason=f"Invalid input for {name}: {text!r} is not one of {', '.join(known)}.")
    return text


def _forget_attachments(req: Request, present: Iterable[Attachment]) -> None:
    """Remove attachments that nothing is connected by.

    :raises errors.BadRequest: a server or a host is connected by one.
    """
    for attachment in present:
        if attachment.connector is not None or attachment.connection_info is not None:
            raise errors.BadRequest(reason=f"Volume {attachment.volume_id} is connected by attachment {attachment.id}: detach it instead.")
        attachments.delete(req.db, attachment.id)


@action("os-force_delete", path=ACTIONS, policy=Rule("volume_extension:volume_admin_actions:force_delete", ADMIN),
        body={"3.0": _FORCE_DELETE})
def force_delete(req: Request, body: Body, volume_id: str) -> None:
    """Delete a volume whatever its status.

    202 with no body. 400: it is being deleted, is attached, has snapshots, or a volume is being made from it. 404: no such volume.
    """
    begin_delete(req, find(req, volume_id), is_cascade=False, is_forced=True)
