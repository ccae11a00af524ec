# SPDX-License-Identifier: Apache-2.0
"""Availability zones, services, hosts, pools and what operators do with them."""

from nova_lite.api.volume.hosts import (
    availability_zones,
    capabilities,
    clusters,
    hosts,
    log_levels,
    pools,
    services,
    workers,
)
from nova_lite.api.wsgi.rules import Rule

RESOURCES = (
    availability_zones,
    capabilities,
    clusters,
    hosts,
    log_levels,
    pools,
    services,
    workers,
)
EXTRA_RULES: tuple[Rule, ...] = ()
