# SPDX-License-Identifier: Apache-2.0
"""Which operation of each server is at work on this host, so that a newer one can overtake it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from nova_lite.rpc.order import NEVER, Order
from nova_lite.worker.orders import Superseded


class Preemption:
    """Safe for threads. Operations of one server take turns under its lock."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._at_work: dict[str, tuple[Order, str]] = {}
        self._overtaking: dict[str, Order] = {}

    @contextlib.contextmanager
    def take(self, server_id: str, order: Order, name: str) -> Iterator[None]:
        """Be the server's operation at work; the caller holds its lock."""
        with self._guard:
            self._at_work[server_id] = (order, name)
        try:
            yield
        finally:
            with self._guard:
                del self._at_work[server_id]
                if self._overtaking.get(server_id) == order:
                    del self._overtaking[server_id]

    def overtake(self, server_id: str, order: Order, *, interrupts: frozenset[str]) -> str | None:
        """From now on older requests about the server are stale. The name of the one at work if it is one of `interrupts`.

        None when it is not, and when the same request came before.
        """
        with self._guard:
            if order.key <= self._overtaking.get(server_id, NEVER).key:
                return None
            self._overtaking[server_id] = order
            at_work, name = self._at_work.get(server_id, (order, ""))
            return name if at_work.key < order.key and name in interrupts else None

    def check(self, server_id: str, order: Order) -> None:
        """:raises Superseded: a newer request has overtaken this one."""
        newest = self._overtaking.get(server_id, NEVER)
        if order.key < newest.key:
            raise Superseded(resource_id=server_id, order=order, newest=newest)
