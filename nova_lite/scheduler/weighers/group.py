# SPDX-License-Identifier: Apache-2.0
"""Prefers or avoids hosts with servers of the same group: the soft policies, which never refuse a host."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host

# More than the weighers of room together, so that room decides only among hosts with as many of the group's servers.
_EACH = 3.0


def softly_together(host: Host, request: PlacementRequest) -> float:
    """Soft affinity: the more of the group, the better."""
    return _EACH * host.neighbours.group_here if request.group_policy == "soft-affinity" else 0.0


def softly_apart(host: Host, request: PlacementRequest) -> float:
    """Soft anti-affinity: the fewer of the group, the better."""
    return -_EACH * host.neighbours.group_here if request.group_policy == "soft-anti-affinity" else 0.0
