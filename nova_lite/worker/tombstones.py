# SPDX-License-Identifier: Apache-2.0
"""Remembers the newest request that removed each resource from this host, so that a late older one is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from oslo_log import log as logging

from nova_lite.rpc import payload
from nova_lite.rpc.order import NEVER, Order
from nova_lite.worker.orders import order_of_fence
from nova_lite.worker.records import RecordFiles

LOG = logging.getLogger(__name__)
# No message lives a week: queues and retries end within hours.
LIFETIME_S = 7 * 24 * 3600.0
_EXPIRE_EVERY = 1000  # new ones


class Tombstones:
    """Resource id to the order of the request that removed it here; safe for threads. `store` None: in memory only."""

    def __init__(self, store: RecordFiles | None, *, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now
        self._lock = threading.Lock()
        self._orders: dict[str, Order] = {}

    def load(self) -> None:
        """Read what an earlier process left; old ones expire."""
        if self._store is not None:
            self._store.open()
            with self._lock:
                self._expire()
                self._orders = {resource_id: _order(content) for resource_id, content in self._store.read()}

    def order(self, resource_id: str) -> Order:
        """The order of the last removal that is remembered; NEVER: there is none."""
        return self._orders.get(resource_id, NEVER)

    def put(self, resource_id: str, order: Order) -> None:
        """Remember durably that requests up to this one are over; an older one changes nothing."""
        with self._lock:
            if order.key <= self.order(resource_id).key:
                return
            if self._store is not None:
                self._store.write(resource_id, payload.to_wire(order))
            self._orders[resource_id] = order
            if len(self._orders) % _EXPIRE_EVERY == 0:
                self._expire()

    def expire(self) -> int:
        """Forget those older than `LIFETIME_S`; returns how many. Called by `load`, and now and then by `put`."""
        with self._lock:
            return self._expire()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            for resource_id in self._orders:
                if self._store is not None:
                    self._store.remove(resource_id)
            self._orders.clear()

    def _expire(self) -> int:
        if self._store is None:
            return 0
        expired = self._store.older_than(self._now() - LIFETIME_S)
        for resource_id in expired:
            self._store.remove(resource_id)
            self._orders.pop(resource_id, None)
        return len(expired)


def _order(content: object) -> Order:
    """Release 0.1 wrote fences: compute workers the bare number."""
    if isinstance(content, dict) and "epoch" in content:
        order: Order = payload.from_wire(Order, content)
        return order
    fence = content["fence"] if isinstance(content, dict) else content
    return order_of_fence(int(fence)) if isinstance(fence, int) else NEVER
