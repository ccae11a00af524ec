# SPDX-License-Identifier: Apache-2.0
"""os-initialize_connection and os-terminate_connection: a client connects a host of its own, as before there were attachments."""

from __future__ import annotations

from collections.abc import Iterable

from nova_lite import errors
from nova_lite.api.volume.attachments import connections, safety
from nova_lite.api.volume.attachments.attachments import reserve
from nova_lite.api.volume.attachments.views import nested_connection
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find, find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import OBJECT, closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import attachments
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus, VolumeStatus
from nova_lite.runtime.tokens import open_tokens

_INITIALIZE = schemas.keyed("os-initialize_connection", schemas.closed({"connector": connections.CONNECTOR}, required=("connector",)))
_TERMINATE = schemas.keyed("os-terminate_connection", schemas.closed(
    {"connector": {"type": ["object", "string", "null"]}}, required=("connector",)))


@action("os-initialize_connection", path=ACTIONS, policy=Rule("volume_extension:volume_actions:initialize_connection", MEMBER), status=200,
        body={"3.0": _INITIALIZE}, response=closed(connection_info=OBJECT), waits=True)
def initialize_connection(req: Request, body: Body, volume_id: str) -> Deferred[Body]:
    """Connect a client's host to the volume, and wait until it can.

    200 with how to connect. 400: the connector has no host, its host cannot reach the volume, or a server or another host has it. 404: no
    such volume in the project. 500: the volume's worker failed. 503: too many requests wait for workers.
    """
    connector = body["os-initialize_connection"]["connector"]
    present = attachments.lock_of_volume(req.db, volume_id)
    volume = find_locked(req, volume_id)
    attachment = _own(req, present, volume, connector["host"])
    if attachment.connection_info is not None:
        return Deferred(lambda: _connection(req, attachment.id, connector))
    action_id = connections.begin_export(req, attachment, volume, connector)

    def answer() -> Body:
        connections.wait(req, action_id, f"Unable to connect volume {volume_id}")
        return _connection(req, attachment.id, connector)

    return Deferred(answer)


def _own(req: Request, present: Iterable[Attachment], volume: Volume, host: str) -> Attachment:
    """The host's attachment, a new one if it has none.

    :raises errors.BadRequest: a server or another host has the volume, or it is in another status.
    """
    for attachment in present:
        if attachment.server_id is None and attachment.host == host:
            return attachment
    if volume.status == VolumeStatus.ATTACHING:  # by os-reserve
        attachments.settle(req.db, volume.id)
    made = Attachment(project_id=volume.project_id, host=host)
    reserve(req, made, volume)
    return made


def _connection(req: Request, attachment_id: str, connector: Body) -> Body:
    with req.database.reader() as session:
        found = nested_connection(open_tokens(req.conf), attachments.get(session, attachment_id))
    if not found:
        raise errors.WorkerError(reason="Unable to fetch connection information from backend.")
    return {"connection_info": {**found, "enforce_multipath": bool(connector.get("enforce_multipath"))}}


@action("os-terminate_connection", path=ACTIONS, policy=Rule("volume_extension:volume_actions:terminate_connection", MEMBER),
        body={"3.0": _TERMINATE})
def terminate_connection(req: Request, body: Body, volume_id: str) -> None:
    """End the connection of a client's host; one that was noted as attached ends with os-detach.

    202 with no body, also when there is none. 404: no such volume in the project. 409: a server uses the volume, and the caller is no service.
    """
    connector = body["os-terminate_connection"]["connector"]
    host = connector.get("host") if isinstance(connector, dict) else None
    volume = find(req, volume_id)
    for attachment in attachments.lock_of_volume(req.db, volume.id):
        safety.refuse_in_use(req, attachment)
        if attachment.server_id is None and host in (None, attachment.host) and attachment.status != AttachmentStatus.ATTACHED:
            connections.end(req, attachment)
    if volume.status == VolumeStatus.ATTACHING:
        attachments.settle(req.db, volume.id)
