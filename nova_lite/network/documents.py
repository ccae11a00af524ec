# SPDX-License-Identifier: Apache-2.0
"""The metadata documents of the servers on this host, found by where a request comes from."""

from __future__ import annotations

from nova_lite.network.records import Records


class Documents:
    """What the metadata application reads; kept by the records, so it survives a restart."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def find(self, network_id: str, address: str) -> dict[str, str] | None:
        """The tree (path to text) of the server that has the address in the network; None: no server here has.

        Anti-spoofing makes the address the sender's own; the network is the one whose namespace it came through.
        """
        server_id = self._records.owner(network_id, address)
        server = self._records.servers.get(server_id) if server_id is not None else None
        return server.documents if server is not None else None
