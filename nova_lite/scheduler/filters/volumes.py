# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts from which the server's volumes are not reached."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def reaches_volumes(host: Host, request: PlacementRequest) -> str | None:
    """A storage pool that QEMU opens as files serves guests of its own host only. Nova has no such filter: its volumes are on the network."""
    return None if request.volume_agent in (None, host.agent) else "does not reach the server's volumes"
