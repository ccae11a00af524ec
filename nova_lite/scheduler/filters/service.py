# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts whose nova-compute is disabled or down, or whose workers are of an earlier release."""

from nova_lite.db.hosts.hosts import AUTO
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_enabled(host: Host, request: PlacementRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """`openstack compute service set --disable` takes a host out of scheduling, as trouble and an old worker do. Part of Nova's ComputeFilter."""
    if host.outdated is not None:
        return f"{host.outdated} is of an earlier release"
    if not host.is_disabled:
        return None
    return "its hypervisor does not answer" if (host.disabled_reason or "").startswith(AUTO) else "disabled by an operator"


def is_up(host: Host, request: PlacementRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """A host whose worker sends no heartbeats gets no servers. Part of Nova's ComputeFilter."""
    return None if host.is_alive else "nova-compute is down"
