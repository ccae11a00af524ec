# SPDX-License-Identifier: Apache-2.0
"""The weighers: pure functions `(host, request) -> float`, higher is better; their sum decides.

Those of capacity are between 0 and 1, so that a group's soft policy outweighs all of them.
docs/scheduler.md maps them to Nova's.
"""

from collections.abc import Callable

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host
from nova_lite.scheduler.weighers import affinity, capacity

Weigher = Callable[[Host, PlacementRequest], float]

WEIGHERS: tuple[Weigher, ...] = (capacity.free_memory, capacity.free_cores, affinity.soft_affinity, affinity.soft_anti_affinity)
