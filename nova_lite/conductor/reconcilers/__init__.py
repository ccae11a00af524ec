# SPDX-License-Identifier: Apache-2.0
"""The reconcilers: each takes no input but the rows, runs by period, and may run anywhere, any number of times."""

from collections.abc import Callable

from nova_lite.conductor.reconcilers import lost_hints, orphans
from nova_lite.conductor.world import World

Reconciler = Callable[[World], None]

RECONCILERS: tuple[Reconciler, ...] = (lost_hints.send_again, orphans.remove)
