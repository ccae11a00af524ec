# SPDX-License-Identifier: Apache-2.0
"""Hosts, hypervisors, services, aggregates and availability zones."""

from nova_lite.api.compute.hosts import (
    aggregates,
    audit,
    availability_zones,
    baremetal_nodes,
    hosts,
    hypervisors,
    services,
)

RESOURCES = (
    aggregates,
    audit,
    availability_zones,
    baremetal_nodes,
    hosts,
    hypervisors,
    services,
)
