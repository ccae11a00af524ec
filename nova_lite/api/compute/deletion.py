# SPDX-License-Identifier: Apache-2.0
"""Deletes servers: at once, or softly, so that they can be restored for a while."""

from __future__ import annotations

from nova_lite.api.compute import asking
from nova_lite.api.wsgi.request import Request
from nova_lite.db import actions
from nova_lite.db.base import utcnow
from nova_lite.db.servers import Server
from nova_lite.lifecycle.table import ACTIONS, OnRestart, Vm

# Tasks of one operation on one host: one that powers off may follow them, where a workflow would be torn.
_ON_HOST = {row.task for row in ACTIONS.values() if row.on_restart is not OnRestart.RESUME} | {None}


def delete(req: Request, server: Server) -> None:
    """Delete as the cloud is configured: softly with `[compute] reclaim_instance_interval`, else for good.

    What never ran, is on no host, or is in the middle of a longer operation cannot be kept.
    """
    if server.vm_state == Vm.SOFT_DELETED or server.task_state in (ACTIONS["soft_delete"].task, ACTIONS["delete"].task):
        asking.refuse_locked(req, server)
        return
    if req.conf.compute.reclaim_instance_interval and _can_be_kept(server):
        _delete_softly(req, server)
    else:
        delete_for_good(req, server)


def _can_be_kept(server: Server) -> bool:
    was_up = server.launched_at is not None and server.agent is not None
    return was_up and server.vm_state in ACTIONS["soft_delete"].allowed_in and server.task_state in _ON_HOST


def _delete_softly(req: Request, server: Server) -> None:
    asked, agent = asking.begin_on_host(req, server, "soft_delete")
    actions.cancel_open(req.db, server_id=server.id, before=asked.id, reason="The server was deleted.")
    server.soft_deleted_at = utcnow()
    req.after_commit(req.rpc.compute(agent).soft_delete, req.ctxt, server_id=server.id, action_id=asked.id)


def delete_for_good(req: Request, server: Server) -> None:
    """Let the conductor remove the server; asked for again meanwhile, nothing more is done."""
    asking.refuse_locked(req, server)
    if server.task_state == ACTIONS["delete"].task:
        return
    asked = asking.begin(req, server, "delete")
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked.id)
