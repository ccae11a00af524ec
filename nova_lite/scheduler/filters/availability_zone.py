# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts outside of the requested availability zone."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_in_availability_zone(host: Host, request: PlacementRequest) -> str | None:
    """Any host if none is requested. Nova's AvailabilityZoneFilter, since 2023.1 a Placement aggregate request."""
    if request.availability_zone in (None, host.availability_zone):
        return None
    return f"not in availability zone {request.availability_zone}"
