# SPDX-License-Identifier: Apache-2.0
"""Writes the heartbeats of services to the rows of services and compute hosts."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.db.hosts import hosts
from nova_lite.db.volume import pools
from nova_lite.rpc.conductor import GENERATION, Inventory, ServiceReport
from nova_lite.rpc.payload import to_wire

# Those that have steps of actions.
WORKERS = (hosts.COMPUTE, hosts.NETWORK, hosts.VOLUME)
_SAME_NAMES = (
    "vcpus", "ram_mb", "disk_gb", "reserved_ram_mb", "reserved_disk_gb", "disk_free_gb", "architecture", "hypervisor_type",
    "hypervisor_version", "hypervisor_hostname", "virt_type", "virt_reason", "cpu_info", "host_ip", "tunnel_ip", "uptime",
    "pcpus", "hugepages_mb",
)


def beat(session: Session, report: ServiceReport) -> int:
    """Record the heartbeat of a service; how many rows it has."""
    return hosts.beat(session, binary=report.binary, agent=report.agent, trouble=report.trouble, is_outdated=is_outdated(report))


def register(session: Session, report: ServiceReport, *, names: list[str], now: datetime.datetime) -> None:
    """Add or update the rows of a service, of its compute hosts and of its pools; three queries and what is new."""
    hosts.register_service(session, binary=report.binary, agent=report.agent, availability_zone=report.availability_zone,
                           names=names, now=now, trouble=report.trouble, is_outdated=is_outdated(report))
    hosts.register_hosts(session, agent=report.agent, availability_zone=report.availability_zone,
                         columns={inventory.host: _columns(inventory) for inventory in report.inventories})
    if report.pools:
        pools.register(session, report.agent, [to_wire(pool) for pool in report.pools])


def is_outdated(report: ServiceReport) -> bool:
    """Whether it is a worker of an earlier release, to which requests cannot be sent."""
    return report.binary in WORKERS and report.generation < GENERATION


def _columns(inventory: Inventory) -> dict[str, Any]:
    return {name: getattr(inventory, name) for name in _SAME_NAMES} | {"capabilities": to_wire(inventory.capabilities)}
