# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts whose nova-compute is disabled by an operator or not heard of."""

from nova_lite.db.hosts.hosts import AUTO
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_enabled(host: Host, request: PlacementRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """`compute service set --disable` takes a host out of scheduling."""
    if not host.is_disabled:
        return None
    return "its hypervisor does not answer" if (host.disabled_reason or "").startswith(AUTO) else "disabled by an operator"


def is_alive(host: Host, request: PlacementRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """A host whose worker is silent gets nothing new."""
    return None if host.is_alive else "nova-compute is down"
