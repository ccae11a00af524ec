# SPDX-License-Identifier: Apache-2.0
"""Deletes for good what was deleted softly and has not been restored in time."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.world import World
from nova_lite.context import system_context
from nova_lite.db import actions, servers
from nova_lite.db.servers import Server
from nova_lite.failpoints import fail
from nova_lite.lifecycle.table import Vm

LOG = logging.getLogger(__name__)
BATCH = 50


def reclaim(world: World) -> None:
    """Ask for the delete of servers whose `[compute] reclaim_instance_interval` is over; 0: nothing is kept for later."""
    interval = world.conf.compute.reclaim_instance_interval
    if not interval:
        return
    before = world.now() - datetime.timedelta(seconds=interval)
    with world.database.reader() as session:
        due = list(session.scalars(sa.select(Server.id).where(
            Server.vm_state == str(Vm.SOFT_DELETED), Server.task_state.is_(None), Server.deleted_at.is_(None),
            Server.soft_deleted_at < before).limit(BATCH)))
    for server_id in due:
        _delete(world, server_id)


def _delete(world: World, server_id: str) -> None:
    ctxt = system_context()
    fail("reclaim.before")
    with world.database.writer() as session:
        try:
            server = servers.get(session, server_id)
            if server.vm_state != Vm.SOFT_DELETED or server.task_state is not None:
                return  # restored at the last moment
            servers.begin(session, server, "delete")
        except errors.NovaLiteError:
            return
        asked = actions.add(session, server_id=server_id, name="delete", request_id=ctxt.request_id,
                            user_id=server.user_id, project_id=server.project_id)
        action_id = asked.id
    fail("reclaim.after")
    LOG.info("server %s: was deleted softly, and is reclaimed", server_id)
    world.conductor.run(ctxt, action_id=action_id)
