# SPDX-License-Identifier: Apache-2.0
"""The compute face (osapi_compute): its resources, its microversions and how it words faults."""

from __future__ import annotations

from nova_lite.api.compute import (
    flavor_extra_specs, flavors, keypairs, server_create, server_lists, servers,
)
from nova_lite.api.compute.actions import console, lock, power
from nova_lite.api.compute.faults import fault_body
from nova_lite.api.compute.history import HISTORY
from nova_lite.api.wsgi.versions import Negotiation

__all__ = ["EXTRA_RULES", "NEGOTIATION", "RESOURCES", "fault_body"]

RESOURCES = (
    server_lists, server_create, servers, power, lock, console, flavors, flavor_extra_specs, keypairs,
)
# Rules that handlers ask about beside those of their routes.
EXTRA_RULES = (*server_lists.RULES, *server_create.RULES, *lock.RULES)
NEGOTIATION = Negotiation(
    "compute", minimum=HISTORY[0][0], maximum=HISTORY[-1][0], legacy_header="X-OpenStack-Nova-API-Version")
