# SPDX-License-Identifier: Apache-2.0
"""os-attach, os-detach and os-force_detach: a client notes that it has attached a volume itself. No server is touched."""

from __future__ import annotations

from collections.abc import Iterable

from nova_lite import errors
from nova_lite.api.volume.attachments import connections, safety
from nova_lite.api.volume.attachments.attachments import reserve
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find, find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.volume import attachments, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus, VolumeStatus

# Not the error of a volume that could not be made, or whose content is lost: only administrators end that.
_STALE = (VolumeStatus.IN_USE, VolumeStatus.DETACHING, VolumeStatus.ATTACHING, VolumeStatus.RESERVED)
_ATTACH = schemas.keyed("os-attach", schemas.closed({
    "mountpoint": {"type": "string", "minLength": 1, "maxLength": 255}, "instance_uuid": schemas.UUID_OR_NULL,
    "host_name": {"type": ["string", "null"], "maxLength": 255}, "mode": {"enum": ["rw", "ro"]}}, required=("mountpoint",)))
_DETACH = schemas.keyed("os-detach", schemas.closed({"attachment_id": schemas.UUID_OR_NULL}))
_FORCE_DETACH = schemas.keyed("os-force_detach", schemas.closed(
    {"connector": {"type": ["object", "string", "null"]}, "attachment_id": schemas.UUID_OR_NULL}))


@action("os-attach", path=ACTIONS, policy=Rule("volume_extension:volume_actions:attach", MEMBER), body={"3.0": _ATTACH})
def attach(req: Request, body: Body, volume_id: str) -> None:
    """Note that a server or a host has the volume: it is in use.

    202 with no body. 400: no server or host is named, the mode is wrong or the volume may only be read, it is neither available nor
    attaching, or the server has it or a device of that name. 404: no such volume in the project, or the server is another project's.
    """
    params, present = body["os-attach"], attachments.lock_of_volume(req.db, volume_id)
    volume = find_locked(req, volume_id)
    server_id, host, mode = params.get("instance_uuid"), params.get("host_name"), params.get("mode", "rw")
    if not server_id and not host:
        raise errors.BadRequest(reason="Invalid input for os-attach: instance_uuid or host_name is needed.")
    if volume.is_read_only and mode != "ro":
        raise errors.BadRequest(reason=f"Invalid attaching mode '{mode}' for volume {volume.id}: it may only be read.")
    attachment = _connected_host(present, server_id, host)
    if attachment is None:
        if volume.status == VolumeStatus.ATTACHING:  # by os-reserve
            attachments.settle(req.db, volume.id)
        attachment = Attachment(project_id=volume.project_id, server_id=server_id, host=None if server_id else host, mountpoint=params["mountpoint"])
        reserve(req, attachment, volume)
    else:
        attachment.mountpoint = params["mountpoint"]
    attachment.mode, attachment.status, attachment.attached_at = mode, str(AttachmentStatus.ATTACHED), utcnow()
    req.db.flush()
    attachments.settle(req.db, volume.id)


def _connected_host(present: Iterable[Attachment], server_id: str | None, host: str | None) -> Attachment | None:
    """The attachment by which os-initialize_connection has connected the host; None: there is none."""
    if server_id is not None:
        return None
    return next((one for one in present
                 if one.server_id is None and one.host == host and one.status == AttachmentStatus.ATTACHING), None)


@action("os-detach", path=ACTIONS, policy=Rule("volume_extension:volume_actions:detach", MEMBER), body={"3.0": _DETACH})
def detach(req: Request, body: Body, volume_id: str) -> None:
    """Note that a server or a host does not have the volume any more; a host's connection to it is ended.

    202 with no body. 400: there are several attachments and none is named, or it is none of the volume's. 404: no such volume in the
    project. 409: a server uses it, and the caller is no service.
    """
    _detach(req, find(req, volume_id), body["os-detach"].get("attachment_id"), stale=_STALE)


@action("os-force_detach", path=ACTIONS, policy=Rule("volume_extension:volume_admin_actions:force_detach", ADMIN), body={"3.0": _FORCE_DETACH})
def force_detach(req: Request, body: Body, volume_id: str) -> None:
    """As `detach`, whatever the volume's status.

    202, 400, 404 and 409 as there: a volume is not taken from a running server by force either.
    """
    volume = find(req, volume_id)
    _detach(req, volume, body["os-force_detach"].get("attachment_id"), stale=(*_STALE, *((VolumeStatus.ERROR,) if volume.host else ())))


def _detach(req: Request, volume: Volume, attachment_id: str | None, *, stale: tuple[VolumeStatus, ...]) -> None:
    """End the attachment. A volume without one is available, also where it shows one of `stale` by os-reset_status."""
    present = attachments.lock_of_volume(req.db, volume.id)
    if attachment_id is None and len(present) > 1:
        raise errors.BadRequest(reason=f"Detach volume failed: volume {volume.id} is attached to more than one server: attachment_id is needed.")
    named = [one for one in present if attachment_id in (None, one.id)]
    if attachment_id is not None and not named:
        raise errors.BadRequest(reason=f"Volume {volume.id} has no attachment {attachment_id}.")
    for attachment in named:
        safety.refuse_in_use(req, attachment)
        connections.end(req, attachment)
    volume = volumes.get_locked(req.db, volume.id)
    if not attachments.of_volume(req.db, volume.id):
        volumes.set_status(req.db, volume, VolumeStatus.AVAILABLE, among=stale)
