# SPDX-License-Identifier: Apache-2.0
"""The scheduler's view: every compute host as an immutable value, read in three queries and trusted for a moment."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.db.hosts import aggregates, hosts
from nova_lite.rpc.conductor import Offers
from nova_lite.rpc.payload import from_wire


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What the request's server would find on the host: `group_here` of the `group_all` servers of its group.

    `has_wanted`, `has_unwanted`: a server that it is to be beside, or apart from.
    """

    group_here: int = 0
    group_all: int = 0
    has_wanted: bool = False
    has_unwanted: bool = False


NOBODY, NOTHING = Neighbours(), Offers()


@dataclasses.dataclass(frozen=True)
class Host:
    """One compute host. Sizes `*_total` are what may be sold: inventory less reserve, times the ratio.

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
    vcpus: int
    vcpus_total: float
    vcpus_claimed: int
    ram_mb_total: float
    ram_mb_claimed: int
    disk_gb_total: float
    disk_gb_claimed: int
    servers_claimed: int
    pcpus_total: int = 0
    pcpus_claimed: int = 0
    huge_mb_total: int = 0
    huge_mb_claimed: int = 0
    offers: Offers = NOTHING
    aggregates: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict, compare=False)
    neighbours: Neighbours = NOBODY

    @property
    def vcpus_free(self) -> float:
        return self.vcpus_total - self.vcpus_claimed

    @property
    def ram_mb_free(self) -> float:
        return self.ram_mb_total - self.ram_mb_claimed

    @property
    def disk_gb_free(self) -> float:
        return self.disk_gb_total - self.disk_gb_claimed

    @property
    def pcpus_free(self) -> int:
        return self.pcpus_total - self.pcpus_claimed

    @property
    def huge_mb_free(self) -> int:
        return self.huge_mb_total - self.huge_mb_claimed

    def with_claim(self, *, vcpus: int, ram_mb: int, disk_gb: int, pcpus: int = 0, huge_mb: int = 0) -> Host:
        """The host after one more server."""
        return dataclasses.replace(
            self, pcpus_claimed=self.pcpus_claimed + pcpus, huge_mb_claimed=self.huge_mb_claimed + huge_mb, vcpus_claimed=self.vcpus_claimed + vcpus, ram_mb_claimed=self.ram_mb_claimed + ram_mb,
            disk_gb_claimed=self.disk_gb_claimed + disk_gb, servers_claimed=self.servers_claimed + 1)

    def without(self, *, vcpus: int, ram_mb: int, disk_gb: int, pcpus: int = 0, huge_mb: int = 0) -> Host:
        """The host as a server of this size, which is there, would find it without itself.

        Its own room is its own, also where the host has come to have less than is claimed.
        """
        return dataclasses.replace(
            self, vcpus_claimed=int(min(self.vcpus_claimed, self.vcpus_total) - vcpus),
            ram_mb_claimed=int(min(self.ram_mb_claimed, self.ram_mb_total) - ram_mb),
            disk_gb_claimed=int(min(self.disk_gb_claimed, self.disk_gb_total) - disk_gb),
            pcpus_claimed=min(self.pcpus_claimed, self.pcpus_total) - pcpus,
            huge_mb_claimed=min(self.huge_mb_claimed, self.huge_mb_total) - huge_mb,
            servers_claimed=self.servers_claimed - 1)


def read(session: Session, conf: cfg.ConfigOpts, *, now: datetime.datetime) -> list[Host]:
    """All compute hosts as they are in the database."""
    services = {service.host: service for service in hosts.services(session, binary="nova-compute")}
    metadata = aggregates.metadata_by_host(session)
    return [_host(row, services[row.name], conf, now, metadata.get(row.name, {}))
            for row in hosts.hosts(session) if row.name in services]


def _host(
    row: hosts.Host, service: hosts.Service, conf: cfg.ConfigOpts, now: datetime.datetime,
    metadata: Mapping[str, frozenset[str]],
) -> Host:
    options = conf.scheduler
    return Host(
        name=row.name, agent=row.agent, availability_zone=row.availability_zone, architecture=row.architecture,
        virt_type=row.virt_type, is_alive=hosts.is_alive(service, now=now, down_time_s=conf.service_down_time),
        is_disabled=service.disabled, disabled_reason=service.disabled_reason, vcpus=row.vcpus,
        vcpus_total=row.vcpus * options.cpu_allocation_ratio, vcpus_claimed=row.vcpus_claimed,
        ram_mb_total=(row.ram_mb - row.reserved_ram_mb) * options.ram_allocation_ratio, ram_mb_claimed=row.ram_mb_claimed,
        disk_gb_total=(row.disk_gb - row.reserved_disk_gb) * options.disk_allocation_ratio,
        disk_gb_claimed=row.disk_gb_claimed, servers_claimed=row.servers_claimed, aggregates=metadata,
        pcpus_total=row.pcpus, pcpus_claimed=row.pcpus_claimed, huge_mb_total=row.huge_mb,
        huge_mb_claimed=row.huge_mb_claimed, offers=from_wire(Offers, row.offers) if row.offers else NOTHING,
    )
