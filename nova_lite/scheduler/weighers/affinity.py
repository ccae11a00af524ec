# SPDX-License-Identifier: Apache-2.0
"""Prefers or avoids hosts with servers of the same group: the soft policies, which never refuse a host."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host

# More than the weighers of capacity together, so that capacity decides only among hosts with as many of the group's servers.
_EACH = 3.0


def soft_affinity(host: Host, request: PlacementRequest) -> float:
    """The more servers of the group, the better. Nova's ServerGroupSoftAffinityWeigher."""
    return _EACH * host.affinity.group_here if request.group_policy == "soft-affinity" else 0.0


def soft_anti_affinity(host: Host, request: PlacementRequest) -> float:
    """The fewer servers of the group, the better. Nova's ServerGroupSoftAntiAffinityWeigher."""
    return -_EACH * host.affinity.group_here if request.group_policy == "soft-anti-affinity" else 0.0
