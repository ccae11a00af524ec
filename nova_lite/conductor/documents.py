# SPDX-License-Identifier: Apache-2.0
"""Brings what a guest may read about itself up to date on its host when the server's words change."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.conductor import guest
from nova_lite.conductor.world import World
from nova_lite.context import Context
from nova_lite.db import servers


class Documents:
    """Endpoint: what guests read, rendered anew, and the one thing that they write.

    The config drive stays as it was made, as in Nova.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def refresh_documents(self, ctxt: Context, *, server_id: str) -> None:
        with self._world.database.reader() as session:
            try:
                server = servers.get(session, server_id)
            except errors.NotFound:
                return
            if server.agent is None:
                return
            ports = guest.server_ports(session, self._world, server, fence=0)
        self._world.network(server.agent).update_documents(ctxt, server_id=server_id, documents=ports.documents)

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        with self._world.database.writer() as session:
            servers.post_password(session, server_id, password)
        self.refresh_documents(ctxt, server_id=server_id)
