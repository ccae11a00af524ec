# SPDX-License-Identifier: Apache-2.0
"""Reads which hosts have servers that a request's server is to share a host with or not, under its group's lock."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.compute import server_groups
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host, HostAffinity


@dataclasses.dataclass(frozen=True)
class AffinityContext:
    """`group`: number of the group's members by host; `same`, `different`: hosts of the servers in the scheduler hints of that name."""

    group: Mapping[str, int]
    same: frozenset[str]
    different: frozenset[str]

    def apply(self, hosts: list[Host]) -> list[Host]:
        """The hosts with what of this concerns each."""
        total = sum(self.group.values())
        if not (total or self.same or self.different):
            return hosts
        return [dataclasses.replace(host, affinity=HostAffinity(
            group_here=self.group.get(host.name, 0), group_all=total, has_same=host.name in self.same,
            has_different=host.name in self.different)) for host in hosts]


def read(session: Session, request: PlacementRequest) -> AffinityContext:
    """Read them, inside the transaction that claims.

    The group's row stays locked until that ends: of two placements in one group the second sees the first's claim, so
    that both can never be placed where only one may.
    """
    group: Mapping[str, int] = {}
    if request.group_id is not None:
        with contextlib.suppress(errors.NotFound):  # deleted since: no policy applies to the server any more
            server_groups.get(session, request.group_id, project_id=None, is_locked=True)
        group = server_groups.claims_by_host(session, request.group_id, but=request.server_id)
    return AffinityContext(group, _hosts(session, request, request.same_host), _hosts(session, request, request.different_host))


def _hosts(session: Session, request: PlacementRequest, server_ids: Sequence[str]) -> frozenset[str]:
    if not server_ids:
        return frozenset()
    return frozenset(server_groups.hosts_of(session, server_ids, project_id=request.project_id))
