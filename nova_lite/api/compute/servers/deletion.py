# SPDX-License-Identifier: Apache-2.0
"""Deletes servers: at once, or softly, so that they can be restored for a while."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Request
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import ACTIONS, Power, Vm


def delete(req: Request, server: Server) -> None:
    """Delete as the cloud is configured: softly with `[compute] reclaim_instance_interval`, else for good.

    In the middle of a workflow a soft delete is kept for later: it begins when that has ended (reconcilers/waiting_deletes.py),
    so that nothing is lost. What never ran, or failed and is on no host, cannot be kept.
    """
    if _is_going(server):
        begin_action.refuse_locked(req, server)
        return
    if not (req.conf.compute.reclaim_instance_interval and _can_be_kept(server)):
        delete_for_good(req, server)
        return
    try:
        _delete_softly(req, server)
    except errors.WrongState:
        if server.task_state is None or _is_going(server):
            delete(req, server)  # another request was quicker: decide again by what it left
        else:
            _delete_afterwards(req, server)


def _is_going(server: Server) -> bool:
    is_kept = server.vm_state == Vm.SOFT_DELETED and server.task_state is None
    return is_kept or server.task_state in (ACTIONS["soft_delete"].task, ACTIONS["delete"].task)


def _can_be_kept(server: Server) -> bool:
    """Soft-deleted, it is being restored: its user has had second thoughts twice."""
    is_somewhere = server.agent is not None or server.vm_state == Vm.SHELVED_OFFLOADED
    return server.launched_at is not None and is_somewhere and server.vm_state in (*ACTIONS["soft_delete"].allowed_in, Vm.SOFT_DELETED)


def _delete_softly(req: Request, server: Server) -> None:
    asked = begin_action.begin(req, server, "soft_delete")
    actions.cancel_open(req.db, server_id=server.id, before=asked.id, reason="The server was deleted.")
    server.soft_deleted_at = utcnow()
    ask_host(req, server, "soft_delete", action_id=asked.id)


def ask_host(req: Request, server: Server, name: str, *, action_id: int) -> None:
    """Tell the server's host; on none there is nothing to be done, and the conductor writes it down."""
    if server.agent is None:
        req.after_commit(req.rpc.conductor.action_done, req.ctxt, server_id=server.id, action_id=action_id, host="",
                         power_state=int(Power.SHUTDOWN))
    else:
        req.after_commit(getattr(req.rpc.compute(server.agent), name), req.ctxt, server_id=server.id, action_id=action_id)


def _delete_afterwards(req: Request, server: Server) -> None:
    """Write down that it is wanted, once."""
    if not actions.is_waiting(req.db, server.id):
        actions.record(req.db, server_id=server.id, name="soft_delete", request_id=req.ctxt.request_id,
                       user_id=req.ctxt.user_id, project_id=req.ctxt.project_id, state=actions.WAITING)


def delete_for_good(req: Request, server: Server) -> None:
    """Let the conductor remove the server; asked for again meanwhile, nothing more is done."""
    begin_action.refuse_locked(req, server)
    if server.task_state == ACTIONS["delete"].task:
        return
    asked = begin_action.begin(req, server, "delete")
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked.id)
