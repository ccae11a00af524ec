# SPDX-License-Identifier: Apache-2.0
"""Takes shelved servers off their hosts once they have been shelved long enough."""

from __future__ import annotations

import datetime

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.world import World
from nova_lite.context import system_context
from nova_lite.db import actions, servers, shelving
from nova_lite.failpoints import fail

LOG = logging.getLogger(__name__)
BATCH = 50


def offload(world: World) -> None:
    """Ask for the offload of servers whose `[compute] shelved_offload_time` is over; -1: they stay."""
    wait_s = world.conf.compute.shelved_offload_time
    if wait_s < 0:
        return
    with world.database.reader() as session:
        due = shelving.on_hosts(
            session, shelved_before=world.now() - datetime.timedelta(seconds=wait_s), limit=BATCH)
    for server_id in due:
        _offload(world, server_id)


def _offload(world: World, server_id: str) -> None:
    ctxt = system_context()
    fail("offload.before")
    with world.database.writer() as session:
        try:
            server = servers.get(session, server_id)
            servers.begin(session, server, "shelve_offload")
        except errors.NovaLiteError:
            return  # unshelved or deleted at the last moment
        action_id = actions.add(
            session, server_id=server_id, name="shelve_offload", request_id=ctxt.request_id, user_id=server.user_id,
            project_id=server.project_id).id
    fail("offload.after")
    LOG.info("server %s: has been shelved long enough, and leaves its host", server_id)
    world.conductor.run(ctxt, action_id=action_id)
