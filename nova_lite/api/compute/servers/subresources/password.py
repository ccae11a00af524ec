# SPDX-License-Identifier: Apache-2.0
"""os-server-password: the password that a guest posted to its metadata service, encrypted for its owner's keypair."""

from __future__ import annotations

from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule

_PATH = "/servers/{server_id}/os-server-password"


@route("GET", _PATH, policy=Rule("os_compute_api:os-server-password:show", READER),
       response=closed(password=STRING))
def show(req: Request, server_id: str) -> Body:
    """Show the password; it is empty until the guest has posted one.

    200 with it. 404: no such server in the project.
    """
    return {"password": begin_action.find(req, server_id).posted_password or ""}


@route("DELETE", _PATH, policy=Rule("os_compute_api:os-server-password:clear", MEMBER), status=204)
def clear(req: Request, server_id: str) -> None:
    """Remove the password from the server's row; the guest keeps it.

    204 with no body. 404: no such server in the project.
    """
    begin_action.find(req, server_id).posted_password = None
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server_id)
