# SPDX-License-Identifier: Apache-2.0
"""What every request for an action on a server does first: find it, check its lock, claim it, record the action."""

from __future__ import annotations

from collections.abc import Collection

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts
from nova_lite.lifecycle.servers import ACTIONS, FIND_SERVER, HOST_STEP_SEQUENCE
from nova_lite.rpc.order import Order


def find(req: Request, server_id: str) -> Server:
    """The server, if the caller may see it.

    :raises errors.NotFound: there is none, or it is another project's.
    """
    return servers.get(req.db, server_id, project_id=req.ctxt.visible_project)


def refuse_locked(req: Request, server: Server) -> None:
    """:raises errors.ServerLocked: the server is locked and the caller is no admin."""
    if server.locked_by is not None and not req.ctxt.is_admin:
        raise errors.ServerLocked(f"Instance {server.id} is locked", id=server.id)


def refuse_state(server: Server, name: str) -> None:
    """:raises errors.WrongState: the server's state forbids the action now."""
    row = ACTIONS[name]
    if server.vm_state not in row.allowed_in or (server.task_state is not None and not row.over_task):
        raise servers.wrong_state(server, name)


def begin(req: Request, server: Server, name: str) -> Action:
    """Claim the server for the action and record it.

    :raises errors.ServerLocked: it is locked. :raises errors.WrongState: its state forbids the action.
    :raises errors.NotFound: it was deleted since it was read.
    """
    _claim(req, server, name)
    return actions.add(req.db, server_id=server.id, name=name, request_id=req.ctxt.request_id,
                       user_id=req.ctxt.user_id, project_id=req.ctxt.project_id)


def begin_workflow(req: Request, server: Server, name: str, inputs: Body | None = None) -> int:
    """As `begin`, for an action with nothing more to write: a conductor gets it after the commit; the action's id."""
    _claim(req, server, name)
    action_id = actions.record(req.db, server_id=server.id, name=name, request_id=req.ctxt.request_id,
                               user_id=req.ctxt.user_id, project_id=req.ctxt.project_id, inputs=inputs)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_id)
    return action_id


def begin_on_host(req: Request, server: Server, name: str) -> tuple[Action, str]:
    """As `begin`, for an action that the server's host carries out; also returns the name of its worker.

    :raises errors.Conflict: the server has no host, since its build failed. Others as for `begin`.
    """
    return begin(req, server, name), _worker_of(server, name)


def _claim(req: Request, server: Server, name: str) -> None:
    """Claim the server for the action, unless its lock or its state forbids it."""
    if ACTIONS[name].needs_unlocked:
        refuse_locked(req, server)
    servers.begin(req.db, server, name)


def _worker_of(server: Server, name: str) -> str:
    """:raises errors.Conflict: the server has no host, since its build failed."""
    if server.agent is None:
        raise errors.Conflict(reason=f"Cannot '{name}' server {server.id}: it is on no host, since its build failed")
    return server.agent


def refuse_outdated_host(req: Request, server: Server, name: str, *, needs: Collection[str]) -> None:
    """For an action whose caller waits; others wait for the host's upgrade. `needs`: the workers that do it.

    :raises errors.TooOld: one of them on the server's host is of an earlier release, and does not understand requests.
    """
    agent = str(server.agent)
    outdated = hosts.outdated_worker(req.db, agent, binaries=needs)
    if outdated is not None:
        raise errors.TooOld(service=outdated, host=agent, method=name)


def refuse_vtpm(server: Server, operation: str) -> None:
    """Refuse what would lose or lock the state of the server's own TPM, as Nova does.

    :raises errors.Conflict: the server has one.
    """
    versions = (server.flavor.extra_specs.get("hw:tpm_version"), server.image_properties.get("hw_tpm_version"))
    if any(versions):
        raise errors.Conflict(reason=f"Operation '{operation}' not supported for vTPM-enabled instance ({server.id}).")


def begin_host_step(req: Request, server: Server, name: str) -> tuple[Order, str]:
    """As `begin`, for an action that the server's host does alone; the order to send it with, and the host's worker.

    The caller casts it after the commit; the worker's report goes to the conductor.

    :raises errors.Conflict: the server never got a host. Others as for `begin`.
    """
    _claim(req, server, name)
    agent = _worker_of(server, name)
    begun = actions.begin(
        req.db, (actions.SERVER, server.id), name, actions.Requester(req.ctxt.request_id, req.ctxt.user_id, req.ctxt.project_id),
        awaiting=actions.Awaiting(done=FIND_SERVER, step=ACTIONS[name].host_step, host=agent,
                                  saved={"host": server.host, "agent": agent}))
    order = Order(epoch=begun.epoch, action=begun.id, attempt=1, sequence=HOST_STEP_SEQUENCE, nonce=begun.nonce)
    return order, agent
