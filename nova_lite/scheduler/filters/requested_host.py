# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts that the request itself rules out: tried in vain before, or not the one that an admin named."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def not_tried_yet(host: Host, request: PlacementRequest) -> str | None:
    """Each host gets one try per action."""
    return "already tried" if host.name in request.excluded else None


def is_the_forced_host(host: Host, request: PlacementRequest) -> str | None:
    """An admin may name the host."""
    return None if request.forced_host in (None, host.name) else "not the host asked for"
