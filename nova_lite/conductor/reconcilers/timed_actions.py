# SPDX-License-Identifier: Apache-2.0
"""Begins, in a user's place, an action on a server whose time has come."""

from __future__ import annotations

from collections.abc import Callable

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.context import system_context
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.servers import Server
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
# Servers that one look takes up; the next look takes the next.
BATCH = 50


def begin(
    services: Services, server_id: str, action: str, *, failpoint: str, reason: str,
    is_due: Callable[[Server], bool] = lambda server: True,
) -> None:
    """Begin `action` and cast to a conductor, unless the server's user was quicker. `failpoint` begins the names of its failpoints.

    `is_due` looks at the server once more where the action's own row of lifecycle/servers.py would allow too much.
    """
    ctxt = system_context()
    fail(f"{failpoint}.before")
    with services.database.writer() as session:
        try:
            server = servers.get(session, server_id)
            if not is_due(server):
                return
            servers.begin(session, server, action)
        except (errors.WrongState, errors.NotFound):
            return
        begun = actions.add(session, server_id=server_id, name=action, request_id=ctxt.request_id,
                            user_id=server.user_id, project_id=server.project_id)
        action_id = begun.id
    fail(f"{failpoint}.after")
    LOG.info("server %s: %s", server_id, reason)
    services.conductor.run(ctxt, action_id=action_id)
