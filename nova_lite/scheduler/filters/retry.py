# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts that an earlier attempt of the same action has failed on."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def is_not_tried(host: Host, request: PlacementRequest) -> str | None:
    """Each host gets one attempt per action. Nova's RetryFilter, later its alternate hosts."""
    return "already tried" if host.name in request.excluded else None
