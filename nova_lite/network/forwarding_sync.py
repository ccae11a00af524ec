# SPDX-License-Identifier: Apache-2.0
"""Keeps where the ports of this host's networks are at the rows' revisions: applies changes in their order, fetches what was missed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import system_context
from nova_lite.network.state_sync import StateSource
from nova_lite.rpc.network import Forwarding, ForwardingChange, PortPlace

LOG = logging.getLogger(__name__)
# A change may come while the network is being fetched, and another while it is fetched again.
_FETCHES = 3


class _Table:
    """Of one network; changed in place, under the guard."""

    def __init__(self, whole: Forwarding) -> None:
        self.revision = whole.revision
        self.places = {place.mac: place for place in whole.places}

    def apply(self, change: ForwardingChange) -> None:
        self.revision = change.revision
        for mac in change.gone:
            self.places.pop(mac, None)
        self.places.update((place.mac, place) for place in change.places)


class ForwardingSync:
    """In memory only: after a start it is fetched, and until then frames go where they went.

    A network whose ports are not known is flooded, so that what is missing here costs bandwidth and no connection.
    """

    def __init__(self, source: StateSource) -> None:
        self._source = source
        self._guard = threading.Lock()
        self._tables: dict[str, _Table] = {}
        self._newest: dict[str, int] = {}  # by network: the newest revision that was sent

    def places(self, network_id: str) -> dict[str, PortPlace] | None:
        """Where the network's ports are, by MAC; None: that is not known."""
        with self._guard:
            table = self._tables.get(network_id)
            return None if table is None else dict(table.places)

    def revision(self, network_id: str) -> int | None:
        """At which that is known; None: it is not."""
        with self._guard:
            table = self._tables.get(network_id)
            return None if table is None else table.revision

    def change(self, changes: Iterable[ForwardingChange]) -> set[str]:
        """Apply what follows the revision that is here, ignore what is older, fetch the others; the networks that changed."""
        changed, missed = set[str](), set[str]()
        with self._guard:
            for change in changes:
                network_id, table = change.network_id, self._tables.get(change.network_id)
                if table is not None and change.revision <= table.revision:
                    continue
                self._newest[network_id] = max(change.revision, self._newest.get(network_id, 0))
                if table is None or change.base_revision != table.revision:
                    missed.add(network_id)
                else:
                    table.apply(change)
                    changed.add(network_id)
        return changed | self.fetch(missed)

    def behind(self, revisions: Mapping[str, int]) -> set[str]:
        """Those of the networks that are here at another revision, or not at all."""
        with self._guard:
            return {
                network_id for network_id, revision in revisions.items()
                if (table := self._tables.get(network_id)) is None or table.revision != revision}

    def fetch(self, network_ids: Collection[str]) -> set[str]:
        """Fetch the networks whole; those that were fetched. Without a conductor that knows how, none is."""
        required, fetched = set(network_ids), set[str]()
        for _ in range(_FETCHES):
            if not required:
                break
            with self._guard:
                before = {network_id: table.revision for network_id, table in self._tables.items() if network_id in required}
            try:
                found = self._source.forwarding(system_context(), network_ids=tuple(sorted(required)))
            except errors.NovaLiteError as error:
                LOG.warning("network: where ports are was not fetched; frames for other hosts are flooded: %s", error.text)
                break
            with self._guard:
                for whole in found:
                    held = self._tables.get(whole.network_id)
                    # One that got a later revision meanwhile keeps it; else the rows are right, also after a restore of older ones.
                    if held is None or held.revision < whole.revision or held.revision == before.get(whole.network_id):
                        self._tables[whole.network_id] = _Table(whole)
                        fetched.add(whole.network_id)
                required = {whole.network_id for whole in found if self._newest.get(whole.network_id, 0) > whole.revision}
        return fetched

    def forget(self, network_id: str) -> None:
        """The network is not on this host any more."""
        with self._guard:
            self._tables.pop(network_id, None)
            self._newest.pop(network_id, None)
