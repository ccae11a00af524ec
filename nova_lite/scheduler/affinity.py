# SPDX-License-Identifier: Apache-2.0
"""Which hosts have servers that a request's server is to be beside or apart from, read under its group's lock."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.compute import server_groups
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host, Neighbours


@dataclasses.dataclass(frozen=True)
class AffinityContext:
    """`group`: members' number by host; `wanted`, `unwanted`: hosts of servers that were named."""

    group: Mapping[str, int]
    wanted: frozenset[str]
    unwanted: frozenset[str]

    def seen_by(self, hosts: list[Host]) -> list[Host]:
        """The hosts with what the server would find there."""
        total = sum(self.group.values())
        if not (total or self.wanted or self.unwanted):
            return hosts
        return [dataclasses.replace(host, neighbours=Neighbours(
            group_here=self.group.get(host.name, 0), group_all=total, has_wanted=host.name in self.wanted,
            has_unwanted=host.name in self.unwanted)) for host in hosts]


def of(session: Session, request: PlacementRequest) -> AffinityContext:
    """Read them, inside the transaction that claims.

    The group's row stays locked until that ends: of two placements in one group the second sees the first's claim, so
    that both can never land where only one may.
    """
    group: Mapping[str, int] = {}
    if request.group_id is not None:
        with contextlib.suppress(errors.NotFound):  # removed meanwhile: nothing binds the server any more
            server_groups.get(session, request.group_id, project_id=None, is_locked=True)
        group = server_groups.claims_by_host(session, request.group_id, but=request.server_id)
    return AffinityContext(group, _hosts(session, request, request.same_host), _hosts(session, request, request.different_host))


def _hosts(session: Session, request: PlacementRequest, server_ids: Sequence[str]) -> frozenset[str]:
    if not server_ids:
        return frozenset()
    return frozenset(server_groups.hosts_of(session, server_ids, project_id=request.project_id))
