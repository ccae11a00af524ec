# SPDX-License-Identifier: Apache-2.0
"""Brings what a guest may read about itself up to date on its host when the server's words change."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.context import Context
from nova_lite.db.compute import servers
from nova_lite.payloads import guest
from nova_lite.values import instance_metadata

LOG = logging.getLogger(__name__)


class Documents:
    """Endpoint: what guests read, rendered anew, and the one thing that they write.

    The config drive stays as it was made, as in Nova.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def refresh_documents(self, ctxt: Context, *, server_id: str) -> None:
        with self._services.database.reader() as session:
            try:
                server = servers.get(session, server_id)
            except errors.NotFound:
                return
            if server.agent is None:
                return
            ports = guest.server_ports(session, self._services.environment, server, fence=0)
        told = self._with_places(ctxt, server_id, server.agent, ports.documents)
        self._services.network(server.agent).update_documents(ctxt, server_id=server_id, documents=told)

    def _with_places(self, ctxt: Context, server_id: str, agent: str, told: instance_metadata.Documents) -> instance_metadata.Documents:
        """Where the guest's tagged devices are is known by its host alone; unless that answers, they are told without."""
        if not instance_metadata.names_devices(told):
            return told
        try:
            found = self._services.compute(agent).placement(ctxt, server_id=server_id)
        except errors.NovaLiteError as error:
            LOG.warning("server %s: where its tagged devices are is not known: %s", server_id, error.text)
            return told
        return instance_metadata.with_places(told, found.nics)

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        with self._services.database.writer() as session:
            servers.post_password(session, server_id, password)
        self.refresh_documents(ctxt, server_id=server_id)
