# SPDX-License-Identifier: Apache-2.0
"""The weighers: pure functions `(host, request) -> float`, higher is better; their sum decides.

Those of room are between 0 and 1, so that what a user asked for (`group`) can weigh more than all of them.
"""

from collections.abc import Callable

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host
from nova_lite.scheduler.weighers import capacity, group

Weigher = Callable[[Host, PlacementRequest], float]

WEIGHERS: tuple[Weigher, ...] = (capacity.free_memory, capacity.free_cores, group.softly_together, group.softly_apart)
