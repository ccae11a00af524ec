# SPDX-License-Identifier: Apache-2.0
"""Attachments (3.27): a client reserves a volume, then connects a host to it, and ends it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.attachments import connections, safety
from nova_lite.api.volume.attachments.views import BRIEF, DETAIL, AttachmentView, flat_connection, may_connect
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute import actions
from nova_lite.db.volume import attachments, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus
from nova_lite.runtime.tokens import open_tokens

_CREATE = Rule("volume:attachment_create", MEMBER)
_BOOTABLE = Rule("volume:multiattach_bootable_volume", MEMBER)
EXTRA_RULES = (_BOOTABLE,)
_ONE = closed(attachment=DETAIL)
_CONNECTOR_OR_NULL: schemas.Schema = {"anyOf": [{"type": "null"}, connections.CONNECTOR]}
_PROPERTIES = {"volume_uuid": schemas.UUID, "instance_uuid": schemas.UUID_OR_NULL, "connector": _CONNECTOR_OR_NULL}
_BODY = schemas.keyed("attachment", schemas.closed(_PROPERTIES, required=("volume_uuid",)))
_BODY_WITH_MODE = schemas.keyed("attachment", schemas.closed({**_PROPERTIES, "mode": {"enum": ["rw", "ro"]}}, required=("volume_uuid",)))
_UPDATE = schemas.keyed("attachment", schemas.closed({"connector": connections.CONNECTOR}, required=("connector",)))


@route("POST", "/attachments", policy=_CREATE, since="3.27", until="3.53", waits=True, body={"3.27": _BODY}, response=_ONE)
def create(req: Request, body: Body) -> Body | Deferred[Body]:
    """Reserve a volume for a server or for a client's own use; with a connector, connect its host and wait until it can.

    200 with the attachment. 400: the volume is in an error state, not free, or has too many attachments, the server has it already, or the
    connector's host cannot reach it. 404: no such volume in the project, or the server is another project's. 409: a connector for one of
    this cloud's servers. 500: the volume's worker failed. 503: too many requests wait for workers.
    """
    return _create(req, body["attachment"])


@route("POST", "/attachments", policy=_CREATE, since="3.54", waits=True, body={"3.54": _BODY_WITH_MODE}, response=_ONE)
def create_with_mode(req: Request, body: Body) -> Body | Deferred[Body]:
    """As `create`, with the mode, to write or only to read.

    200, 400, 404, 409, 500 and 503 as there.
    """
    return _create(req, body["attachment"])


def _create(req: Request, params: Body) -> Body | Deferred[Body]:
    volume = find_locked(req, params["volume_uuid"])
    attachment = Attachment(project_id=volume.project_id, server_id=params.get("instance_uuid"),
                            mode="ro" if volume.is_read_only else params.get("mode"))
    reserve(req, attachment, volume)
    if not params.get("connector"):
        return {"attachment": view(DETAIL, AttachmentView(attachment), req)}
    safety.refuse_servers(req, attachment)
    return _connect(req, attachment, volume, params["connector"])


def reserve(req: Request, attachment: Attachment, volume: Volume) -> None:
    """Add the attachment of a volume, whose row is locked.

    :raises errors.BadRequest: the volume is not free, or has as many attachments as may be. :raises errors.NotFound: its server is another
    project's. :raises errors.PolicyForbids: several servers would boot from the volume.
    """
    if volume.status.startswith("error"):
        raise errors.BadRequest(
            reason=f"Volume attachments can not be created if the volume is in an error state. Volume {volume.id} is in status {volume.status}.")
    if volume.multiattach and volume.bootable and volume.status == VolumeStatus.IN_USE:
        req.policy.check(_BOOTABLE, req.ctxt)
    if len(attachments.of_volume(req.db, volume.id)) >= attachments.MAX_OF_VOLUME:
        raise errors.BadRequest(reason=f"Volume {volume.id} has {attachments.MAX_OF_VOLUME} attachments, which is the maximum.")
    server = safety.server_of(req, attachment.server_id)
    try:
        attachments.reserve(req.db, attachment, volume)
    except errors.InUse as error:
        raise errors.BadRequest(reason=error.text) from None
    if server is not None and not server.has_volumes:
        server.has_volumes = True  # so that its deletion ends the attachment


@route("GET", "/attachments/{attachment_id}", policy=Rule("volume:get", READER), since="3.27", response=_ONE)
def show(req: Request, attachment_id: str) -> Body:
    """Show an attachment; administrators and services see how to connect.

    200 with it. 404: no such attachment in the project.
    """
    attachment = attachments.get(req.db, attachment_id, project_id=req.ctxt.visible_project)
    if attachment.volume_id is None:
        raise attachments.missing(attachment_id)
    if not may_connect(req.ctxt):
        return {"attachment": view(DETAIL, AttachmentView(attachment), req)}
    return {"attachment": _connected(req, attachment, volumes.get(req.db, attachment.volume_id))}


@route("PUT", "/attachments/{attachment_id}", policy=Rule("volume:attachment_update", MEMBER), since="3.27", waits=True,
       body={"3.27": _UPDATE}, response=_ONE)
def update(req: Request, body: Body, attachment_id: str) -> Body | Deferred[Body]:
    """Connect a host to a volume that was reserved, and wait until it can.

    200 with the attachment and how to connect. 400: the connector has no host, or its host cannot reach the volume. 404: no such attachment
    in the project. 409: the volume is in an error state, the attachment is one of this cloud's servers, or another host is connected or
    just being connected by it. 500: the volume's worker failed. 503: too many requests wait for workers.
    """
    connector = body["attachment"]["connector"]
    attachment = find_attachment(req, attachment_id)
    safety.refuse_servers(req, attachment)
    volume = volumes.get_locked(req.db, str(attachment.volume_id))
    if volume.status.startswith("error"):
        raise errors.Conflict(reason=f"Volume attachments can not be updated if the volume is in an error state: {volume.id} is {volume.status}.")
    if attachment.connection_info is not None:
        if attachment.host != connector["host"]:
            raise errors.Conflict(reason=f"Attachment {attachment.id} connects another host already: duplicate connectors detected.")
        return {"attachment": _connected(req, attachment, volume)}
    if actions.has_open(req.db, (begin_action.ATTACHMENT, attachment.id)):
        raise errors.Conflict(reason=f"Attachment {attachment.id} is just being connected or ended.")
    return _connect(req, attachment, volume, connector)


def find_attachment(req: Request, attachment_id: str) -> Attachment:
    """The attachment, locked. Its volume is locked after it, as conductors do.

    :raises errors.NotFound: there is none, or it is another project's.
    """
    attachment = attachments.get_locked(req.db, attachment_id, project_id=req.ctxt.visible_project)
    if attachment.volume_id is None:  # what a server's build is yet to make
        raise attachments.missing(attachment_id)
    return attachment


def _connect(req: Request, attachment: Attachment, volume: Volume, connector: Body) -> Deferred[Body]:
    action_id = connections.begin_export(req, attachment, volume, connector)

    def answer() -> Body:
        connections.wait(req, action_id, f"Unable to update attachment {attachment.id}")
        with req.database.reader() as session:
            return {"attachment": _connected(req, attachments.get(session, attachment.id), volumes.get(session, volume.id))}

    return Deferred(answer)


def _connected(req: Request, attachment: Attachment, volume: Volume) -> Body:
    return view(DETAIL, AttachmentView(attachment, flat_connection(open_tokens(req.conf), attachment, volume)), req)


@route("DELETE", "/attachments/{attachment_id}", policy=Rule("volume:attachment_delete", MEMBER), since="3.27", waits=True,
       response=closed(attachments=many(BRIEF)))
def delete(req: Request, attachment_id: str) -> Body | Deferred[Body]:
    """End an attachment, and wait until no host is connected by it.

    200 with the volume's other attachments. 404: no such attachment in the project. 409: a server uses it, and the caller is no service.
    500: the volume's worker failed. 503: too many requests wait for workers.
    """
    attachment = find_attachment(req, attachment_id)
    safety.refuse_in_use(req, attachment)
    volume_id = str(attachment.volume_id)
    action_id = connections.end(req, attachment)
    if action_id is None:
        return _others(req, attachments.of_volume(req.db, volume_id))

    def answer() -> Body:
        connections.wait(req, action_id, f"Unable to delete attachment {attachment_id}")
        with req.database.reader() as session:
            return _others(req, attachments.of_volume(session, volume_id))

    return Deferred(answer)


def _others(req: Request, rows: list[Attachment]) -> Body:
    return {"attachments": [view(BRIEF, AttachmentView(row), req) for row in rows]}
