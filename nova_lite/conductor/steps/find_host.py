# SPDX-License-Identifier: Apache-2.0
"""The first step of what is done to a server where it is."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run, Saved
from nova_lite.db.compute import servers


def find_server(run: Run) -> Saved:
    """Its host.

    :raises errors.WorkerError: it is on none.
    """
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
    if server.agent is None:
        raise errors.WorkerError(reason="the server is on no host")
    return {"host": server.host, "agent": server.agent}
