# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts outside of the zone asked for."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_in_zone(host: Host, request: PlacementRequest) -> str | None:
    """No zone asked for: any will do."""
    if request.availability_zone in (None, host.availability_zone):
        return None
    return f"not in availability zone {request.availability_zone}"
