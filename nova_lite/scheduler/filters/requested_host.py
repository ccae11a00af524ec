# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts other than the one that an admin requested."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_requested_host(host: Host, request: PlacementRequest) -> str | None:
    """`force_hosts` and `requested_destination` of Nova's RequestSpec."""
    return None if request.forced_host in (None, host.name) else "not the requested host"
