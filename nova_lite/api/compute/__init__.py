# SPDX-License-Identifier: Apache-2.0
"""The Compute API (osapi_compute): its resources, its microversions and how it words faults."""

from __future__ import annotations

from nova_lite.api.compute import consoles, flavors, hosts, keypairs, legacy, quotas, servers
from nova_lite.api.compute.common.faults import fault_body
from nova_lite.api.compute.microversions import MAXIMUM, MINIMUM
from nova_lite.api.compute.servers import actions, subresources
from nova_lite.api.wsgi.versions import Negotiation

__all__ = ["EXTRA_RULES", "NEGOTIATION", "RESOURCES", "fault_body"]

RESOURCES = (
    *consoles.RESOURCES,
    *flavors.RESOURCES,
    *hosts.RESOURCES,
    *keypairs.RESOURCES,
    *legacy.RESOURCES,
    *quotas.RESOURCES,
    *servers.RESOURCES,
    *actions.RESOURCES,
    *subresources.RESOURCES,
)
EXTRA_RULES = (
    *quotas.EXTRA_RULES,
    *servers.EXTRA_RULES,
    *actions.EXTRA_RULES,
    *subresources.EXTRA_RULES,
)
NEGOTIATION = Negotiation(
    "compute", minimum=MINIMUM, maximum=MAXIMUM, legacy_header="X-OpenStack-Nova-API-Version")
