# SPDX-License-Identifier: Apache-2.0
"""The instance metadata of the servers on this host, found by the source of a request; and what their guests post."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import system_context
from nova_lite.network.records import Records
from nova_lite.network.state_sync import StateSource

LOG = logging.getLogger(__name__)


class InstanceMetadata:
    """What the metadata application reads; it is in the records, so that it survives a restart."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def server_id(self, network_id: str, address: str) -> str | None:
        """The server that has the address in the network; None: no server here has.

        Anti-spoofing makes the address the sender's own; the network is the one whose namespace it came through.
        """
        return self._records.owner(network_id, address)

    def find(self, network_id: str, address: str) -> dict[str, str] | None:
        """The tree (path to text) of the server that has the address; None: no server here has."""
        server_id = self.server_id(network_id, address)
        server = self._records.servers.get(server_id) if server_id is not None else None
        return server.documents if server is not None else None


class MetadataBackend:
    """What the metadata server may query: instance metadata to read, and what guests post, sent to a conductor."""

    def __init__(self, metadata: InstanceMetadata, conductor: StateSource) -> None:
        self._metadata = metadata
        self._conductor = conductor

    def find(self, network_id: str, address: str) -> dict[str, str] | None:
        """See InstanceMetadata.find."""
        documents = self._metadata.find(network_id, address)
        if documents is None:
            LOG.warning("no server has address %s on network %s", address, network_id)
        return documents

    def post_password(self, network_id: str, address: str, password: str) -> None:
        """Have it stored for the server's owner; updated metadata comes back.

        :raises errors.NotFound: no server here has the address. :raises errors.Conflict: it has posted one already.
        :raises errors.Unavailable: no conductor answers; the guest may try again.
        """
        server_id = self._metadata.server_id(network_id, address)
        if server_id is None:
            raise errors.NotFound(what="Server", id=address)
        self._conductor.post_password(system_context(), server_id=server_id, password=password)
