# SPDX-License-Identifier: Apache-2.0
"""The scheduler's view: every compute host as an immutable value, read in three queries and used for a moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.db.hosts import aggregates, claims, hosts
from nova_lite.db.hosts.observation import Observed
from nova_lite.rpc.conductor import HostCapabilities
from nova_lite.rpc.payload import from_wire
from nova_lite.values.resources import AllocationRatios, Resources


@dataclasses.dataclass(frozen=True)
class HostAffinity:
    """Servers on the host that matter to the request: `group_here` of the `group_all` servers of its group.

    `has_same`, `has_different`: a server that the scheduler hint same_host or different_host has.
    """

    group_here: int = 0
    group_all: int = 0
    has_same: bool = False
    has_different: bool = False


NO_AFFINITY, NO_CAPABILITIES = HostAffinity(), HostCapabilities()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Host:
    """One compute host. `capacity`: what may be allocated, inventory less reserve, times the ratios. `vcpus`: its CPUs.
    `outdated`: which of its workers is of an earlier release.

    `aggregates`: all values of each key in the metadata of the aggregates that it is in.
    """

    name: str
    agent: str
    availability_zone: str
    architecture: str
    virt_type: str
    is_alive: bool
    is_disabled: bool
    disabled_reason: str | None
    outdated: str | None = None
    vcpus: int
    capacity: Resources
    allocated: Resources = Resources()
    servers: int = 0
    capabilities: HostCapabilities = NO_CAPABILITIES
    aggregates: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict, compare=False)
    affinity: HostAffinity = NO_AFFINITY

    @property
    def free(self) -> Resources:
        """What is not allocated; less than nothing where the host has come to have less than its claims."""
        return self.capacity - self.allocated

    def with_claim(self, resources: Resources) -> Host:
        """The host after one more server."""
        return dataclasses.replace(self, allocated=self.allocated + resources, servers=self.servers + 1)

    def without_claim(self, resources: Resources) -> Host:
        """The host without a server that has claimed this much of it.

        What the server has is free to itself, also where the host has come to have less than its claims.
        """
        return dataclasses.replace(self, allocated=self.allocated.smaller_of(self.capacity) - resources, servers=self.servers - 1)


def read(session: Session, conf: cfg.ConfigOpts, *, now: Observed) -> list[Host]:
    """All compute hosts as they are in the database."""
    found = hosts.services_for_placement(session)
    services = {service.host: service for service in found if service.binary == "nova-compute"}
    outdated = {service.agent: service.binary for service in found if service.is_outdated}
    metadata = aggregates.metadata_by_host(session)
    ratios = claims.allocation_ratios(conf)
    return [_host(row, services[row.name], conf, ratios, now, metadata.get(row.name, {}), outdated.get(row.agent))
            for row in hosts.hosts(session) if row.name in services]


def _host(  # the parts of one value
    row: hosts.Host, service: hosts.Service, conf: cfg.ConfigOpts, ratios: AllocationRatios, now: Observed,
    metadata: Mapping[str, frozenset[str]], outdated: str | None,
) -> Host:
    return Host(
        name=row.name, agent=row.agent, availability_zone=row.availability_zone, architecture=row.architecture,
        virt_type=row.virt_type, is_alive=hosts.is_alive(service, now=now, down_time_s=conf.service_down_time),
        is_disabled=service.disabled, disabled_reason=service.disabled_reason, outdated=outdated, vcpus=row.vcpus,
        capacity=ratios.capacity(row.inventory), allocated=row.allocated, servers=row.servers_claimed, aggregates=metadata,
        capabilities=from_wire(HostCapabilities, row.capabilities) if row.capabilities else NO_CAPABILITIES,
    )
