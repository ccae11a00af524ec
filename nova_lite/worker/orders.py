# SPDX-License-Identifier: Apache-2.0
"""Compares the orders of requests about one resource: the one place that decides what is new, done or stale."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from enum import Enum

from nova_lite import errors
from nova_lite.rpc.order import Order

# Release 0.1 ordered requests by numbers, fences: so many for each action.
FENCES_PER_ACTION = 100


def order_of_fence(fence: int) -> Order:
    """The order that a fence stands for: before all that carry an epoch."""
    return Order(epoch=0, action=fence // FENCES_PER_ACTION, attempt=fence % FENCES_PER_ACTION)


class Verdict(Enum):
    """NEW: to be done. SAME: this very request has come before. STALE: a later one was carried out, or another database's."""

    NEW = "new"
    SAME = "same"
    STALE = "stale"


def compare(order: Order, known: Order) -> Verdict:
    """What a request is where `known` is the newest of its resource."""
    if order == known:
        return Verdict.SAME
    return Verdict.NEW if order.key > known.key else Verdict.STALE


class Superseded(errors.StaleRequest):
    """A request is not done, since `newest` was, or is about to be."""

    def __init__(self, *, resource_id: str, order: Order, newest: Order) -> None:
        super().__init__(id=resource_id, fence=order, known=newest)
        self.newest = newest


class Duplicate(errors.StaleRequest):
    """A request that is under way, or was done: nothing is to be done."""


class Underway:
    """The requests that are being carried out now; safe for threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._orders: set[tuple[str, Order]] = set()

    @contextlib.contextmanager
    def enter(self, resource_id: str, order: Order) -> Iterator[None]:
        """:raises Duplicate: it is under way already."""
        key = (resource_id, order)
        with self._guard:
            if key in self._orders:
                raise Duplicate(id=resource_id, fence=order, known=order)
            self._orders.add(key)
        try:
            yield
        finally:
            with self._guard:
                self._orders.discard(key)

    def among(self, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        """Those of the orders that are under way."""
        with self._guard:
            underway = {order for _, order in self._orders}
        return tuple(order for order in orders if order in underway)
