# SPDX-License-Identifier: Apache-2.0
"""What every request for work on a resource of block storage does at its end: record the action, and have a conductor run it."""

from __future__ import annotations

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.compute import actions

VOLUME, SNAPSHOT, ATTACHMENT, BACKUP = actions.VOLUME, actions.SNAPSHOT, actions.ATTACHMENT, "backup"


def record(req: Request, resource_type: str, resource_id: str, name: str, inputs: Body | None = None) -> int:
    """Write the action, which a conductor gets after the commit; its id."""
    requester = actions.Requester(req.ctxt.request_id, req.ctxt.user_id, req.ctxt.project_id)
    begun = actions.begin(req.db, (resource_type, resource_id), name, requester, inputs=inputs)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=begun.id)
    return begun.id


def cancel_others(req: Request, resource_id: str) -> None:
    """End the resource's open actions, for a deletion that does not wait for them: what they made is the resource's, and goes with it."""
    actions.cancel_open(req.db, server_id=resource_id, before=None, reason="The resource is deleted by force.")
