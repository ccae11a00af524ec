# SPDX-License-Identifier: Apache-2.0
"""Confirms resizes that nobody has confirmed or reverted in time."""

from __future__ import annotations

import datetime

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.world import World
from nova_lite.context import system_context
from nova_lite.db import actions, moves, servers
from nova_lite.db.servers import Server
from nova_lite.failpoints import fail

LOG = logging.getLogger(__name__)
BATCH = 50


def confirm(world: World) -> None:
    """Ask for the confirmation of resizes older than `[compute] resize_confirm_window`; 0: none is confirmed unasked."""
    window = world.conf.compute.resize_confirm_window
    if not window:
        return
    before = world.now() - datetime.timedelta(seconds=window)
    with world.database.reader() as session:
        due = moves.waiting(session, finished_before=before, limit=BATCH)
    for _, server in due:
        _confirm(world, server)


def _confirm(world: World, server: Server) -> None:
    ctxt = system_context()
    fail("confirm_window.before")
    with world.database.writer() as session:
        try:
            servers.begin(session, servers.get(session, server.id), "confirm_resize")
        except (errors.WrongState, errors.NotFound):
            return  # its user was quicker
        asked = actions.add(session, server_id=server.id, name="confirm_resize", request_id=ctxt.request_id,
                            user_id=server.user_id, project_id=server.project_id)
        action_id = asked.id
    fail("confirm_window.after")
    LOG.info("server %s: its resize is confirmed, since nobody did in time", server.id)
    world.conductor.run(ctxt, action_id=action_id)
