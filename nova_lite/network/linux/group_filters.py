# SPDX-License-Identifier: Apache-2.0
"""Security groups on their way from requests to the records to the filters, one at a time; what is missing is fetched."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping

from nova_lite.network.linux.firewall import Firewall
from nova_lite.network.records import Records, needed_groups
from nova_lite.network.state_sync import StateSync
from nova_lite.rpc.network import Port, SecurityGroup, SecurityGroupChange, ServerPorts
from nova_lite.runtime.failpoints import fail


class GroupFilters:
    """Groups reach the filters in the order in which they reach the records; nothing is fetched under the lock."""

    def __init__(self, records: Records, sync: StateSync, firewall: Firewall) -> None:
        self._records = records
        self._sync = sync
        self._firewall = firewall
        self._lock = threading.Lock()

    def add(self, ports: ServerPorts) -> None:
        """Have the server's ports filtered; its networks are here, and groups that are not are fetched before.

        The host puts its own ports' addresses into their groups: nobody need send it what it knows.
        """
        known = self._records.groups
        self._records.put_groups(ports.groups)
        self._sync.fetch_groups(self._sync.missing(ports.ports))
        with self._lock:
            self._records.add_members(ports.ports)
            groups = [known[group_id] for group_id in needed_groups(ports.ports, known) if group_id in known]
            networks = [self._records.networks[network.id] for network in ports.networks]
            self._firewall.add(networks, groups, ports.ports)

    def rebuild(self) -> None:
        """Have the filters exactly as the records say; each change is one of both, and comes before or after."""
        records = self._records
        with self._lock:
            ports = [port for server in records.servers.values() for port in server.ports]
            self._firewall.rebuild(records.networks.values(), records.groups.values(), ports, records.protected or ())

    def remove_members(self, ports: Iterable[Port]) -> None:
        """The next owner of the ports' addresses must not be taken for a member of their groups."""
        with self._lock:
            self._firewall.change_groups(self._records.drop_members(ports))

    def update(self, groups: Iterable[SecurityGroup]) -> None:
        """Replace whole groups, as release 0.1 sends them: those that are here, and those that their rules name."""
        offered = {group.id: group for group in groups}
        known = self._records.groups
        named = {rule.remote_group_id for group in offered.values() if group.id in known for rule in group.rules}
        with self._lock:
            self._records.put_groups(group for group in offered.values() if group.id in known or group.id in named)
            fail("network.update_groups.filters")
            self._apply(offered)

    def change(self, changes: Iterable[SecurityGroupChange]) -> None:
        """Apply changes; a group that has missed one is fetched."""
        sent = list(changes)
        with self._lock:
            changed = self._sync.apply(sent)
            fail("network.change_groups.filters")
            self._apply([group.id for group in changed])
        self._fetch(self._sync.behind(change.id for change in sent) | self._missing())

    def take(self, groups: Iterable[SecurityGroup], before: Mapping[str, int]) -> None:
        """Take groups as the rows have them; `before` as in Records.put_fetched_groups."""
        changed = self._records.put_fetched_groups(groups, before)
        if changed:
            with self._lock:
                self._apply([group.id for group in changed])
            self._fetch(self._missing())

    def _missing(self) -> set[str]:
        return self._sync.missing(port for server in list(self._records.servers.values()) for port in server.ports)

    def _fetch(self, group_ids: Collection[str]) -> None:
        if group_ids:
            self._sync.fetch_groups(group_ids)
            with self._lock:
                self._apply(group_ids)

    def _apply(self, group_ids: Collection[str]) -> None:
        """Have the filters as the records; the lock is held."""
        known = self._records.groups
        self._firewall.change_groups([known[group_id] for group_id in group_ids if group_id in known])
        self._records.drop_unneeded_groups()
