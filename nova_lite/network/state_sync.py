# SPDX-License-Identifier: Apache-2.0
"""Keeps this host at the rows' revisions: applies changes of groups in their order, and fetches what was missed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from typing import Protocol

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import Context, system_context
from nova_lite.network.records import Records, needed_groups
from nova_lite.rpc.network import (
    Forwarding,
    NetworkState,
    Port,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
)

LOG = logging.getLogger(__name__)
# A change may come while its group is being fetched, and another while it is fetched again.
_FETCHES = 3
_MAX_SEEN = 1000


class StateSource(Protocol):
    """Where a host fetches network state, and sends what its guests post: a conductor."""

    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState: ...

    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]: ...

    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]: ...

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None: ...


class NoSource:
    """A host without a conductor, as in tools and tests: there is nothing to fetch."""

    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState:
        return NetworkState()

    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]:
        return ()

    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]:
        return ()

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        raise errors.Unavailable(reason="there is no conductor")


class StateSync:
    """Brings the records of groups up to date; the caller brings the filters after them.

    Of each group it knows the newest revision that it was sent and could not apply, so that a change that comes while
    the group is fetched is not lost.
    """

    def __init__(self, records: Records, source: StateSource, *, agent: str) -> None:
        self._records = records
        self._source = source
        self._agent = agent
        self._guard = threading.Lock()
        self._seen: dict[str, int] = {}

    def apply(self, changes: Iterable[SecurityGroupChange]) -> list[SecurityGroup]:
        """Apply what follows the revision that is here, ignore what is older, and note what does not fit.

        Returns the groups that changed.
        """
        changed = []
        for change in changes:
            group = self._records.groups.get(change.id)
            if group is not None and change.revision <= group.revision:
                continue
            if group is None or change.base_revision != group.revision:
                self._note(change.id, change.revision)
                continue
            changed += self._records.put_groups([_changed(group, change)])
        return changed

    def missing(self, ports: Iterable[Port]) -> set[str]:
        """The groups that the ports need and that are not here."""
        return needed_groups(ports, self._records.groups) - self._records.groups.keys()

    def behind(self, group_ids: Iterable[str]) -> set[str]:
        """Those of the groups that are here and have missed a change."""
        with self._guard:
            return {group_id for group_id in group_ids if self._is_behind(group_id)}

    def fetch_groups(self, group_ids: Collection[str]) -> list[SecurityGroup]:
        """Fetch the groups and those that their rules name, and record them; returns those that changed.

        :raises errors.NovaLiteError: no conductor answers.
        """
        changed: dict[str, SecurityGroup] = {}
        required = set(group_ids)
        for _ in range(_FETCHES):
            if not required:
                break
            before = {group_id: group.revision for group_id, group in self._records.groups.items()}
            state = self._fetch(required)
            changed |= {group.id: group for group in self._records.put_fetched_groups(state.groups, before)}
            with self._guard:
                required = {group.id for group in state.groups if self._is_behind(group.id)}
        return list(changed.values())

    def fetch_differing(self, revisions: Revisions) -> NetworkState:
        """What the host has at another revision than these."""
        groups, networks = self._records.groups, self._records.networks
        group_ids = {
            group_id for group_id, revision in revisions.groups.items()
            if group_id in groups and groups[group_id].revision != revision}
        network_ids = {
            network_id for network_id, revision in revisions.networks.items()
            if network_id in networks and networks[network_id].network.revision != revision}
        servers = self._records.servers
        server_ids = {
            server_id for server_id, revision in revisions.servers.items()
            if server_id in servers and servers[server_id].revision != revision}
        if not group_ids and not network_ids and not server_ids:
            return NetworkState()
        LOG.info("network: fetching %d groups, %d networks and %d servers' ports, whose changes were missed",
                 len(group_ids), len(network_ids), len(server_ids))
        return self._fetch(group_ids, network_ids, server_ids)

    def fetch_addresses(self) -> tuple[str, ...]:
        """The addresses that are closed to guests.

        :raises errors.NovaLiteError: no conductor answers.
        """
        return self._source.cloud_addresses(system_context())

    def fetch_servers(self, server_ids: Collection[str]) -> tuple[ServerPorts, ...]:
        """The servers' ports as the rows have them, without order and documents."""
        return self._fetch((), (), server_ids).servers

    def _fetch(
        self, group_ids: Collection[str], network_ids: Collection[str] = (), server_ids: Collection[str] = ()
    ) -> NetworkState:
        return self._source.network_state(
            system_context(), agent=self._agent, group_ids=tuple(sorted(group_ids)), network_ids=tuple(sorted(network_ids)),
            server_ids=tuple(sorted(server_ids)))

    def _note(self, group_id: str, revision: int) -> None:
        with self._guard:
            seen = max(revision, self._seen.pop(group_id, revision))
            self._seen[group_id] = seen  # the newest last
            if len(self._seen) > _MAX_SEEN:
                del self._seen[next(iter(self._seen))]

    def _is_behind(self, group_id: str) -> bool:
        """Whether a newer revision was sent than is here; forgets what is here."""
        group = self._records.groups.get(group_id)
        if group is None:
            return False
        if group_id in self._seen and self._seen[group_id] <= group.revision:
            del self._seen[group_id]
        return group_id in self._seen


def _changed(group: SecurityGroup, change: SecurityGroupChange) -> SecurityGroup:
    removed, known = set(change.removed), set(group.members)
    members = [member for member in group.members if member not in removed]
    members += [member for member in change.added if member not in known]
    return SecurityGroup(
        id=group.id, revision=change.revision, members=tuple(members),
        rules=group.rules if change.rules is None else change.rules)
