# SPDX-License-Identifier: Apache-2.0
"""os-volume_attachments: volumes of a server; each is one row that Block Storage shows as an attachment."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, STRING_OR_NULL, UUID, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, SERVICE, Rule
from nova_lite.api.wsgi.versions import Version
from nova_lite.db.compute.servers import Server
from nova_lite.db.volume import attachments, pools, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.servers import Vm
from nova_lite.lifecycle.volumes import AttachmentStatus, VolumeStatus
from nova_lite.values import device_names

_RULE = "os_compute_api:os-volumes-attachments"
_ALL, _ONE = "/servers/{server_id}/os-volume_attachments", "/servers/{server_id}/os-volume_attachments/{volume_id}"
SWAP = Rule(f"{_RULE}:swap", SERVICE)
RULES = (SWAP,)
_CREATE = Rule(f"{_RULE}:create", MEMBER)
_SHELVED = {Vm.SHELVED, Vm.SHELVED_OFFLOADED}
_TO_MANY = Version(2, 60)

_DEVICE = {"type": ["string", "null"], "pattern": r"(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$"}
_TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
_VOLUME = {"volumeId": schemas.UUID, "device": _DEVICE}
_KEEP = {"delete_on_termination": schemas.BOOLEAN}
FIELDS = (
    Field("id", lambda one: one.volume_id, UUID, until="2.88"),
    Field("volumeId", lambda one: one.volume_id, UUID),
    Field("serverId", lambda one: one.server_id, UUID),
    Field("device", lambda one: one.mountpoint, STRING_OR_NULL),
    Field("tag", lambda one: one.tag, STRING_OR_NULL, since="2.70"),
    Field("delete_on_termination", lambda one: one.delete_on_termination, BOOLEAN, since="2.79"),
    Field("attachment_id", lambda one: one.id, UUID, since="2.89"),
    Field("bdm_uuid", lambda one: one.id, UUID, since="2.89"),
)
NEW_FIELDS = (Field("id", lambda one: one.volume_id, UUID), *FIELDS[1:-2])


def _attachment(**more: schemas.Schema) -> schemas.Schema:
    return schemas.keyed("volumeAttachment", schemas.closed({**_VOLUME, **more}, required=("volumeId",)))


CREATE = {"2.0": _attachment(), "2.49": _attachment(tag=_TAG), "2.79": _attachment(tag=_TAG, **_KEEP)}
UPDATE = {
    "2.0": schemas.keyed("volumeAttachment", schemas.closed({"volumeId": schemas.UUID}, required=("volumeId",))),
    "2.85": _attachment(tag=_TAG, serverId=schemas.UUID, id=schemas.UUID, **_KEEP),
}
QUERY = schemas.queries({"2.0": ("limit", "offset")})


@route("GET", _ALL, policy=Rule(f"{_RULE}:index", READER), query=QUERY, response=closed(volumeAttachments=many(FIELDS)))
def index(req: Request, server_id: str) -> Body:
    """List the server's volumes, as they were attached.

    200 with them. 400: limit or offset is invalid. 404: no such server in the project.
    """
    server = begin_action.find(req, server_id)
    start, limit = paging.offset(req), paging.limit(req)
    found = [one for one in attachments.of_server(req.db, server.id) if one.volume_id is not None]
    return {"volumeAttachments": [view(FIELDS, one, req) for one in found[start:start + limit]]}


@route("POST", _ALL, policy=_CREATE, until="2.19", body=CREATE, response=closed(volumeAttachment=NEW_FIELDS))
def create_unless_shelved(req: Request, body: Body, server_id: str) -> Body:
    """Attach a volume to a server that is not shelved.

    200, and refusals, as `create`; 409 also when the server is shelved.
    """
    server = begin_action.find(req, server_id)
    if server.vm_state in _SHELVED:
        raise errors.WrongState(action="attach_volume", id=server.id, attribute="vm_state", state=server.vm_state)
    return {"volumeAttachment": view(NEW_FIELDS, _begin_attach(req, server, body), req)}


@route("POST", _ALL, policy=_CREATE, since="2.20", until="2.100", body=CREATE, response=closed(volumeAttachment=NEW_FIELDS))
def create(req: Request, body: Body, server_id: str) -> Body:
    """Reserve a volume for the server and begin to attach it; the guest has it when the volume shows in-use.

    200 with the attachment. 400: the volume is not available or cannot be reached from the server's host, several servers may have it and
    the microversion is below 2.60, or a tag is given for a server on no host. 403: the server has as many disks as it may.
    404: no such server or volume in the project. 409: the server is locked, or its state forbids it.
    """
    return {"volumeAttachment": view(NEW_FIELDS, _begin_attach(req, begin_action.find(req, server_id), body), req)}


@route("POST", _ALL, policy=_CREATE, since="2.101", status=202, body=CREATE)
def create_later(req: Request, body: Body, server_id: str) -> None:
    """As `create`: 202 with no body."""
    _begin_attach(req, begin_action.find(req, server_id), body)


@route("GET", _ONE, policy=Rule(f"{_RULE}:show", READER), response=closed(volumeAttachment=FIELDS))
def show(req: Request, server_id: str, volume_id: str) -> Body:
    """Show how a volume is attached to the server.

    200 with it. 404: no such server in the project, or the volume is not attached to it.
    """
    return {"volumeAttachment": view(FIELDS, _find(req, begin_action.find(req, server_id), volume_id), req)}


@route("PUT", _ONE, policy=Rule(f"{_RULE}:update", MEMBER), status=202, body=UPDATE)
def update(req: Request, body: Body, server_id: str, volume_id: str) -> None:
    """Change whether the volume is deleted with the server, from 2.85 on; all else must be as it is.

    202 with no body. 400: another field differs, or nothing is to be changed before 2.85. 403: a swap, and the policy does not allow it.
    404: no such server in the project, or the volume is not attached to it. 409: a swap outside of a migration of the volume.
    """
    params = body["volumeAttachment"]
    if params["volumeId"] != volume_id:
        require(req, SWAP)
    server = begin_action.find(req, server_id)
    volumes.get(req.db, volume_id, project_id=req.ctxt.visible_project)
    attachment = _find(req, server, volume_id)
    if params["volumeId"] != volume_id:
        raise errors.Conflict(reason=f"Volume {volume_id} is not being migrated by the volume service: it is not swapped.")
    if "delete_on_termination" not in params:
        raise errors.BadRequest(reason="The request changes nothing: a volume is swapped for another one, or delete_on_termination changes.")
    fixed = {"device": attachment.mountpoint, "tag": attachment.tag, "serverId": server.id, "id": volume_id}
    for name, value in fixed.items():
        if name in params and params[name] != value:
            raise errors.BadRequest(reason=f"The {name} of an attachment cannot be changed: it is {value}.")
    attachment.delete_on_termination = schemas.is_true(params["delete_on_termination"])
    req.db.flush()


@route("DELETE", _ONE, policy=Rule(f"{_RULE}:delete", MEMBER), status=202)
def delete(req: Request, server_id: str, volume_id: str) -> None:
    """Begin to detach a volume; it is available once the guest has let go.

    202 with no body. 400: it is the server's root disk, or not attached yet. 404: no such server in the project, or the volume is
    not attached to it. 409: the server is locked, or its state forbids it.
    """
    server = begin_action.find(req, server_id)
    volume = volumes.get_locked(req.db, volume_id, project_id=req.ctxt.visible_project)
    attachment = _find(req, server, volume_id)
    if attachment.boot_index == 0 and server.vm_state != Vm.SHELVED_OFFLOADED:
        raise errors.BadRequest(reason="Cannot detach a root device volume")
    begin_action.refuse_locked(req, server)
    begin_action.refuse_state(server, "detach_volume")
    ready = (AttachmentStatus.ATTACHED, *((AttachmentStatus.RESERVED,) if server.agent is None else ()), AttachmentStatus.ERROR_DETACHING)
    at_rest = (VolumeStatus.IN_USE, VolumeStatus.RESERVED, VolumeStatus.DETACHING)
    if volume.status not in at_rest or not attachments.set_status(req.db, attachment.id, AttachmentStatus.DETACHING, among=ready):
        raise errors.WrongStatus(action="detach", what="volume", id=volume_id, status=volume.status, allowed="in-use")
    attachments.settle(req.db, volume.id)
    begin_action.begin_workflow(req, server, "detach_volume", {"attachment_id": attachment.id})


def _find(req: Request, server: Server, volume_id: str) -> Attachment:
    """:raises errors.NotFound: the volume is not attached to the server."""
    attachment = attachments.of_server_and_volume(req.db, server.id, volume_id)
    if attachment is None:
        raise errors.NotFound(f"Instance {server.id} is not attached to volume {volume_id}.", what="Volume", id=volume_id)
    return attachment


def _begin_attach(req: Request, server: Server, body: Body) -> Attachment:
    """Reserve the volume and begin the action."""
    params = body["volumeAttachment"]
    begin_action.refuse_locked(req, server)
    begin_action.refuse_state(server, "attach_volume")
    volume = volumes.get_locked(req.db, params["volumeId"], project_id=req.ctxt.visible_project)
    _refuse_volume(req, server, volume, has_tag=params.get("tag") is not None)
    attachment = Attachment(
        project_id=server.project_id, server_id=server.id, mountpoint=_device_name(req, server), mode="ro" if volume.is_read_only else "rw",
        host=server.agent, tag=params.get("tag"), delete_on_termination=schemas.is_true(params.get("delete_on_termination", False)))
    try:
        attachments.reserve(req.db, attachment, volume)
    except errors.InUse as taken:
        raise errors.BadRequest(reason=taken.text) from None
    server.has_volumes = True
    begin_action.begin_workflow(req, server, "attach_volume", {"attachment_id": attachment.id})
    return attachment


def _refuse_volume(req: Request, server: Server, volume: Volume, *, has_tag: bool) -> None:
    """:raises errors.BadRequest: the server cannot have this volume, or not in this way."""
    if attachments.of_server_and_volume(req.db, server.id, volume.id) is not None:
        raise errors.BadRequest(reason=f"Invalid volume: volume {volume.id} is already attached to instance {server.id}")
    if volume.multiattach and req.version < _TO_MANY:
        raise errors.BadRequest(reason="Multiattach volumes are only supported starting with compute API version 2.60.")
    if server.vm_state == Vm.SHELVED_OFFLOADED and (volume.multiattach or has_tag):
        what = "a multiattach volume" if volume.multiattach else "a volume with a tag"
        raise errors.BadRequest(reason=f"Attaching {what} is not supported for a shelved-offloaded instance.")
    if server.agent is not None and volume.host is not None and volume.agent != server.agent and not pools.reaches_all(req.db, volume.host):
        raise errors.BadRequest(reason=(
            f"Volume {volume.id} is in a storage pool that only guests of its own host reach, and server {server.id} is on another one."))


def _device_name(req: Request, server: Server) -> str:
    """The next free name; as with libvirt in Nova, the one that the client wants does not count.

    :raises errors.Forbidden: the server has as many disks as there are letters.
    """
    taken = {str(one.mountpoint) for one in attachments.of_server(req.db, server.id)}
    name = device_names.next_free(device_names.prefix(server.root_device_name), taken, after=server.first_disks)
    if name is None:
        raise errors.Forbidden(reason=f"The server {server.id} has as many disks as it may have.")
    return name
