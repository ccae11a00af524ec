# SPDX-License-Identifier: Apache-2.0
"""Deletes servers: for good, or as a soft delete that can be restored for a while."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Request
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import ACTIONS, Vm


def delete(req: Request, server: Server) -> None:
    """Delete as the cloud is configured: a soft delete with `[compute] reclaim_instance_interval`, else for good.

    During a workflow a soft delete is deferred: it begins when the workflow has ended (conductor/reconcilers/deferred_deletes.py),
    so that no data is lost. A server that never ran, or that failed and is on no host, is deleted for good.
    A second delete of a server that is being deleted changes nothing.

    :raises errors.ServerLocked: it is locked. :raises errors.NotFound: it was deleted since it was read.
    """
    if _is_being_deleted(server):
        begin_action.refuse_locked(req, server)
        return
    if not (req.conf.compute.reclaim_instance_interval and _can_be_restored(server)):
        delete_for_good(req, server)
        return
    try:
        _soft_delete(req, server)
    except errors.WrongState:
        if server.task_state is None or _is_being_deleted(server):
            delete(req, server)  # another request was quicker: decide again by what it left
        else:
            _defer_delete(req, server)


def _is_being_deleted(server: Server) -> bool:
    is_soft_deleted = server.vm_state == Vm.SOFT_DELETED and server.task_state is None
    return is_soft_deleted or server.task_state in (ACTIONS["soft_delete"].task, ACTIONS["delete"].task)


def _can_be_restored(server: Server) -> bool:
    """Whether a soft delete can be restored. SOFT_DELETED stands for a server whose restore is under way."""
    has_guest_or_snapshot = server.agent is not None or server.vm_state == Vm.SHELVED_OFFLOADED
    return server.launched_at is not None and has_guest_or_snapshot and server.vm_state in (*ACTIONS["soft_delete"].allowed_in, Vm.SOFT_DELETED)


def _soft_delete(req: Request, server: Server) -> None:
    if server.agent is None:  # on no host there is nothing to be done but to record it
        action_id = begin_action.begin_workflow(req, server, "soft_delete")
    else:
        order, agent = begin_action.begin_host_step(req, server, "soft_delete")
        action_id = order.action
        req.after_commit(req.rpc.compute(agent).soft_delete, req.ctxt, server_id=server.id, order=order)
    actions.cancel_open(req.db, server_id=server.id, before=action_id, reason="The server was deleted.")
    server.soft_deleted_at = utcnow()


def _defer_delete(req: Request, server: Server) -> None:
    """Record a deferred soft delete, unless there is one."""
    if not actions.is_waiting(req.db, server.id):
        actions.record(req.db, server_id=server.id, name="soft_delete", request_id=req.ctxt.request_id,
                       user_id=req.ctxt.user_id, project_id=req.ctxt.project_id, state=actions.WAITING)


def delete_for_good(req: Request, server: Server) -> None:
    """Begin the delete workflow; a second delete of the server changes nothing.

    :raises errors.ServerLocked: it is locked. :raises errors.NotFound: it was deleted since it was read.
    """
    begin_action.refuse_locked(req, server)
    if server.task_state == ACTIONS["delete"].task:
        return
    begin_action.begin_workflow(req, server, "delete")
