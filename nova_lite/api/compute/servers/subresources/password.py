# SPDX-License-Identifier: Apache-2.0
"""The password that a guest posted to its metadata service, encrypted for its owner's key: kept, shown, forgotten."""

from __future__ import annotations

from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule

_PATH = "/servers/{server_id}/os-server-password"


@route("GET", _PATH, policy=Rule("os_compute_api:os-server-password:show", READER))
def show(req: Request, server_id: str) -> Body:
    """Empty as long as the guest has posted none."""
    return {"password": begin_action.find(req, server_id).posted_password or ""}


@route("DELETE", _PATH, policy=Rule("os_compute_api:os-server-password:clear", MEMBER), status=204)
def clear(req: Request, server_id: str) -> None:
    """Forget it here; the guest keeps its password."""
    begin_action.find(req, server_id).posted_password = None
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server_id)
