# SPDX-License-Identifier: Apache-2.0
"""Begins soft deletes that came in the middle of a workflow, once that has ended."""

from __future__ import annotations

import sqlalchemy as sa
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import timed_actions
from nova_lite.context import Context
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.actions import CANCELLED, WAITING, Action
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import ACTIONS, Vm
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)


def begin(services: Services) -> None:
    """Put a soft delete in the place of each that waits, where its server is free for it now."""
    is_free = sa.or_(Server.task_state.is_(None), Server.task_state.in_(ACTIONS["soft_delete"].over_tasks))
    with services.database.reader() as session:
        waiting = list(session.scalars(
            sa.select(Action.id).join(Server, Server.id == Action.resource_id).where(Action.state == WAITING, is_free)
            .order_by(Action.id).limit(timed_actions.BATCH)))
    for action_id in waiting:
        _begin(services, action_id)


def _begin(services: Services, waiting_id: int) -> None:
    fail("waiting_delete.before")
    with services.database.writer() as session:
        waiting = session.get(Action, waiting_id)
        if waiting is None or waiting.state != WAITING:
            return
        name = _claim(session, waiting)
        if name is None:
            return
        ctxt = Context(user_id=waiting.user_id, project_id=waiting.project_id, request_id=waiting.request_id)
        action_id = actions.record(session, server_id=waiting.resource_id, name=name, request_id=waiting.request_id,
                                   user_id=waiting.user_id, project_id=waiting.project_id)
        session.delete(waiting)
        server = servers.get(session, waiting.resource_id)
        if name == "soft_delete":
            actions.cancel_open(session, server_id=server.id, before=action_id, reason="The server was deleted.", now=services.now())
            server.soft_deleted_at = services.now()
        server_id = server.id
    fail("waiting_delete.after")
    LOG.info("server %s: its %s has waited and begins", server_id, name)
    services.conductor.run(ctxt, action_id=action_id)


def _claim(session: Session, waiting: Action) -> str | None:
    """The action that has claimed the server: a delete for good where nothing can be kept. None: not now, or no more."""
    try:
        server = servers.get(session, waiting.resource_id)
        is_somewhere = server.agent is not None or server.vm_state == Vm.SHELVED_OFFLOADED
        name = "soft_delete" if is_somewhere else "delete"
        servers.begin(session, server, name)
    except errors.NotFound:
        waiting.state = CANCELLED
        return None
    except errors.WrongState:
        if server.task_state is None:  # another request has soft-deleted it
            waiting.state = CANCELLED
        return None
    return name
