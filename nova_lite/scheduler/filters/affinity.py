# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts by the servers on them: those of the server's group, and those in its scheduler hints."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def has_the_group(host: Host, request: PlacementRequest) -> str | None:
    """Affinity: a host with servers of the group; any host for the first. Nova's ServerGroupAffinityFilter."""
    if request.group_policy != "affinity" or not host.affinity.group_all or host.affinity.group_here:
        return None
    return "not the host of the server group"


def is_below_group_limit(host: Host, request: PlacementRequest) -> str | None:
    """Anti-affinity: a host has at most `max_server_per_host` servers of the group. Nova's ServerGroupAntiAffinityFilter."""
    if request.group_policy != "anti-affinity" or host.affinity.group_here < request.group_max_per_host:
        return None
    return f"has servers of the server group: {host.affinity.group_here} of at most {request.group_max_per_host}"


def is_same_host(host: Host, request: PlacementRequest) -> str | None:
    """Scheduler hint same_host: any of its servers is on the host. Nova's SameHostFilter."""
    return "has none of the servers of same_host" if request.same_host and not host.affinity.has_same else None


def is_different_host(host: Host, request: PlacementRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """Scheduler hint different_host: none of its servers is on the host. Nova's DifferentHostFilter."""
    return "has a server of different_host" if host.affinity.has_different else None
