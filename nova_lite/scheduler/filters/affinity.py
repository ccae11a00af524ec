# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts by the servers that are there: those of the server's group, and those that its hints name."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_the_groups_host(host: Host, request: PlacementRequest) -> str | None:
    """Affinity: where the group's servers are; the first may be anywhere."""
    if request.group_policy != "affinity" or not host.neighbours.group_all or host.neighbours.group_here:
        return None
    return "not where the server group is"


def has_place_for_the_group(host: Host, request: PlacementRequest) -> str | None:
    """Anti-affinity: a host has at most as many of the group's servers as its rule says."""
    if request.group_policy != "anti-affinity" or host.neighbours.group_here < request.group_max_per_host:
        return None
    return f"has servers of the server group: {host.neighbours.group_here} of at most {request.group_max_per_host}"


def is_beside(host: Host, request: PlacementRequest) -> str | None:
    """The hint same_host: any of the servers named is there."""
    return "has none of the servers of same_host" if request.same_host and not host.neighbours.has_wanted else None


def is_apart(host: Host, request: PlacementRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """The hint different_host: none of the servers named is there."""
    return "has a server of different_host" if host.neighbours.has_unwanted else None
