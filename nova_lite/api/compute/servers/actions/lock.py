# SPDX-License-Identifier: Apache-2.0
"""lock, unlock and os-resetState: done in the request's own transaction."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.db.compute import actions, server_images, servers
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import Vm

UNLOCK_OVERRIDE = Rule("os_compute_api:os-lock-server:unlock:unlock_override", ADMIN)
RULES = (UNLOCK_OVERRIDE,)
_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_LOCK_WITH_REASON = schemas.keyed("lock", {
    **schemas.closed({"locked_reason": _REASON}, required=("locked_reason",)), "type": ["object", "null"]})
_RESET = schemas.keyed("os-resetState", schemas.closed({"state": {"enum": ["active", "error"]}}, required=("state",)))


@action("lock", policy=Rule("os_compute_api:os-lock-server:lock", MEMBER),
        body={"2.0": schemas.empty_action("lock"), "2.73": _LOCK_WITH_REASON})
def lock(req: Request, body: Body, server_id: str) -> None:
    """Lock the server against actions of all but admins; a lock by an admin stays one when the owner locks it again.

    202 with no body. 404: no such server in the project.
    """
    server = begin_action.find(req, server_id)
    reason = body["lock"].get("locked_reason") if isinstance(body["lock"], dict) else None
    if server.locked_by == "admin" and not req.ctxt.is_admin:
        return
    server.locked_by = "owner" if server.project_id == req.ctxt.project_id else "admin"
    server.locked_reason = reason
    _record(req, server, "lock")


@action("unlock", policy=Rule("os_compute_api:os-lock-server:unlock", MEMBER),
        body={"2.0": schemas.empty_action("unlock")})
def unlock(req: Request, body: Body, server_id: str) -> None:
    """Unlock the server.

    202 with no body. 403: an admin has locked it, and the policy does not let the caller override that. 404: no such server
    in the project.
    """
    server = begin_action.find(req, server_id)
    if server.locked_by == "admin":
        require(req, UNLOCK_OVERRIDE)
    server.locked_by = server.locked_reason = None
    _record(req, server, "unlock")


@action("os-resetState", policy=Rule("os_compute_api:os-admin-actions:reset_state", ADMIN), body={"2.0": _RESET})
def reset_state(req: Request, body: Body, server_id: str) -> None:
    """Set the server's state without looking at its guest; its open actions end, a deferred delete begins.

    202 with no body. 404: no such server.
    """
    server = begin_action.find(req, server_id)
    actions.cancel_open(req.db, server_id=server.id, before=None, states=actions.OPEN,
                        reason="An operator has reset the server's state.")
    server_images.discard_unfinished(req.db, server.id)
    servers.reset(req.db, server, Vm(body["os-resetState"]["state"]))
    _record(req, server, "resetState")


def _record(req: Request, server: Server, name: str) -> None:
    actions.add(req.db, server_id=server.id, name=name, request_id=req.ctxt.request_id, user_id=req.ctxt.user_id,
                project_id=req.ctxt.project_id, state=actions.DONE)
