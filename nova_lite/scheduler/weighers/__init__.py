# SPDX-License-Identifier: Apache-2.0
"""The weighers: pure functions `(host, request) -> float`, higher is better, each between 0 and 1; their sum decides."""

from collections.abc import Callable

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host
from nova_lite.scheduler.weighers import room

Weigher = Callable[[Host, PlacementRequest], float]

WEIGHERS: tuple[Weigher, ...] = (room.free_memory, room.free_cores)
