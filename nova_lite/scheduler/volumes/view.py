# SPDX-License-Identifier: Apache-2.0
"""The pools as the filters see them: immutable."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.db.hosts import hosts, observation
from nova_lite.db.volume import backends, pools


@dataclasses.dataclass(frozen=True)
class PoolView:
    """One pool. `capacity_gb` may be claimed, `claimed_gb` is; `free_gb` is really free, and `floor_gb` of it is to stay so."""

    name: str
    agent: str
    backend: str
    availability_zone: str
    is_up: bool
    is_enabled: bool
    capacity_gb: int
    claimed_gb: int
    free_gb: float
    floor_gb: float
    is_thin: bool
    reach: str
    capabilities: Mapping[str, Any]

    @property
    def left_gb(self) -> int:
        """What may still be claimed."""
        return self.capacity_gb - self.claimed_gb


def read(session: Session, conf: cfg.ConfigOpts) -> list[PoolView]:
    """All pools, with how their workers are."""
    observed = observation.observed(session, down_time_s=conf.service_down_time)
    services = {service.agent: service for service in hosts.services(session, binary=hosts.VOLUME)}
    found, closed = [], backends.closed(session)
    for pool in pools.pools(session):
        service = services.get(pool.agent)
        if service is not None:
            found.append(PoolView(
                name=pool.name, agent=pool.agent, backend=pool.backend, availability_zone=service.availability_zone,
                is_up=hosts.is_alive(service, now=observed, down_time_s=conf.service_down_time), is_enabled=not service.disabled and f"{pool.agent}@{pool.backend}" not in closed,
                capacity_gb=pool.capacity_gb, claimed_gb=pool.claimed_gb, free_gb=pool.free_gb,
                floor_gb=float(pool.capabilities.get("floor_gb", 0)), is_thin=pool.is_thin, reach=pool.reach,
                capabilities=pool.capabilities))
    return found
