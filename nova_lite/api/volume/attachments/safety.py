# SPDX-License-Identifier: Apache-2.0
"""Who may end or change an attachment: one that a server uses is ended by the Compute API alone (OSSA-2023-003).

Storage that is taken away under a running guest may be given to another project while the guest's host still reads and writes it.
"""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.context import SERVICE
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.volume.attachments import Attachment


def server_of(req: Request, server_id: str | None) -> Server | None:
    """This cloud's server of that id; None: there is none, and the id means something to the client alone.

    :raises errors.NotFound: it is another project's: nobody puts volumes into the servers of others.
    """
    if server_id is None:
        return None
    try:
        server = servers.get(req.db, server_id)
    except errors.NotFound:
        return None
    if req.ctxt.visible_project not in (None, server.project_id):
        raise errors.NotFound(f"Instance {server_id} could not be found.", what="Instance", id=server_id)
    return server


def is_service(req: Request) -> bool:
    """Whether the token is a service's own; what a request says of itself beside its token counts for nothing."""
    return SERVICE in req.ctxt.roles


def refuse_in_use(req: Request, attachment: Attachment) -> None:
    """Refuse to end an attachment that a server uses, boots from or is just getting.

    :raises errors.Conflict: it does, and the caller is no service.
    """
    server = None if is_service(req) else _living(req, attachment)
    if server is not None and (
            attachment.connection_info is not None or attachment.boot_index == 0 or server.task_state is not None
            or actions.has_open(req.db, (actions.SERVER, server.id))):
        raise errors.Conflict(reason=f"Detach volume from instance {server.id} using the Compute API")


def refuse_servers(req: Request, attachment: Attachment) -> None:
    """Refuse to connect or complete by hand what the Compute API does for its servers.

    :raises errors.Conflict: it is an attachment of one of them, and the caller is no service.
    """
    server = None if is_service(req) else _living(req, attachment)
    if server is not None:
        raise errors.Conflict(reason=f"Attachment {attachment.id} is of instance {server.id}: attach the volume using the Compute API")


def _living(req: Request, attachment: Attachment) -> Server | None:
    if attachment.server_id is None:
        return None
    try:
        return servers.get(req.db, attachment.server_id)
    except errors.NotFound:
        return None
