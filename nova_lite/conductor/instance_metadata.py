# SPDX-License-Identifier: Apache-2.0
"""Updates a server's instance metadata on its host when its rows change."""

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
    """Endpoint: instance metadata rendered anew, and the password that a guest posts.

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
            ports = guest.server_ports(session, self._services.environment, server)
        documents = self._with_addresses(ctxt, server_id, server.agent, ports.documents)
        self._services.network(server.agent).update_documents(ctxt, server_id=server_id, documents=documents)

    def _with_addresses(
        self, ctxt: Context, server_id: str, agent: str, documents: instance_metadata.Documents
    ) -> instance_metadata.Documents:
        """With the addresses of tagged devices, which only the guest's host has; without them unless it answers."""
        if not instance_metadata.names_devices(documents):
            return documents
        try:
            placement = self._services.compute(agent).placement(ctxt, server_id=server_id)
        except errors.NovaLiteError as error:
            LOG.warning("server %s: the addresses of its tagged devices are not in its metadata: %s", server_id, error.text)
            return documents
        return instance_metadata.with_places(documents, placement.nics, placement.disks)

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        with self._services.database.writer() as session:
            servers.post_password(session, server_id, password)
        self.refresh_documents(ctxt, server_id=server_id)
