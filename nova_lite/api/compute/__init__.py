# SPDX-License-Identifier: Apache-2.0
"""The compute face (osapi_compute): its resources, its microversions and how it words faults."""

from __future__ import annotations

from nova_lite.api.compute import (
    aggregates,
    availability_zones,
    extensions,
    flavor_extra_specs,
    flavors,
    hypervisors,
    instance_actions,
    interfaces,
    keypairs,
    limits,
    quota_sets,
    server_create,
    server_ips,
    server_lists,
    server_metadata,
    server_security_groups,
    server_tags,
    servers,
    services,
)
from nova_lite.api.compute.actions import console, lock, power
from nova_lite.api.compute.faults import fault_body
from nova_lite.api.compute.history import HISTORY
from nova_lite.api.wsgi.versions import Negotiation

__all__ = ["EXTRA_RULES", "NEGOTIATION", "RESOURCES", "fault_body"]

RESOURCES = (
    server_lists, server_create, servers, power, lock, console, server_metadata, server_tags, server_ips,
    server_security_groups, interfaces, instance_actions, flavors, flavor_extra_specs, keypairs, limits, quota_sets,
    availability_zones, hypervisors, services, aggregates, extensions,
)
# Rules that handlers ask about beside those of their routes.
EXTRA_RULES = (*server_lists.RULES, *server_create.RULES, *lock.RULES, *instance_actions.RULES, *limits.RULES)
NEGOTIATION = Negotiation(
    "compute", minimum=HISTORY[0][0], maximum=HISTORY[-1][0], legacy_header="X-OpenStack-Nova-API-Version")
