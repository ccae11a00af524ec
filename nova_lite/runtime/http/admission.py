# SPDX-License-Identifier: Apache-2.0
"""Who is served when more requests come than can be: shares of threads, turns of tenants, and a bound on waiting."""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

# A service time to begin with, and how fast the mean follows what is measured.
_FIRST_SERVICE_S = 0.02
_WEIGHT = 0.05
# So many, and half as many as a share serves at once, may always wait: long ones before must not make all others be refused.
_ALWAYS = 4


@dataclasses.dataclass(frozen=True)
class Refusal:
    """The answer to a request that is not let in: 429 if its own tenant's requests fill the queue, else 503.

    `retry_after_s` None: it will never be let in.
    """

    status: int
    retry_after_s: int | None
    reason: str


@dataclasses.dataclass
class Ticket:
    """A request's place in a share; `job` is whatever the server keeps of it.

    `over` is called once, when the request has ended in whatever way, with whether it succeeded.
    """

    share: str
    tenant: str
    job: Any
    over: Callable[[bool], None] = lambda _has_succeeded: None
    has_succeeded: bool = False
    came: float = 0.0
    began: float = 0.0
    is_inside: bool = False


class _Share:
    def __init__(self, size: int, most_of_tenant: int) -> None:
        self.size = size
        self.most_of_tenant = most_of_tenant
        self.inside = 0
        self.by_tenant: collections.Counter[str] = collections.Counter()  # inside
        self.queues: collections.OrderedDict[str, collections.deque[Ticket]] = collections.OrderedDict()
        self.queued = 0
        self.service_s = _FIRST_SERVICE_S

    def wait_s(self, tenant: str) -> float:
        """How long a request of the tenant that comes now will wait, since tenants take turns and have their part of the places."""
        own = self.queues.get(tenant)
        turns = len(own) + 1 if own else 1
        ahead = sum(min(len(queue), turns) for queue in self.queues.values()) + 1
        return max(ahead / self.size, turns / self.most_of_tenant) * self.service_s

    def has_place_for(self, tenant: str) -> bool:
        return self.inside < self.size and self.by_tenant[tenant] < self.most_of_tenant


class Admission:
    """Shares by name with their sizes. A tenant's requests wait in its own queue; queues take turns.

    A request that would wait for longer than `max_wait_s` is refused at once. `most_of_tenant`: in these shares one
    tenant has so many places at most.
    """

    def __init__(
        self, sizes: Mapping[str, int], *, max_wait_s: float, max_queued: int = 1024,
        most_of_tenant: Mapping[str, int] | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = {name: _Share(size, (most_of_tenant or {}).get(name, size)) for name, size in sizes.items()}
        self._max_wait_s = max_wait_s
        self._max_queued = max_queued
        self._clock = clock
        self._lock = threading.Lock()

    def enter(self, ticket: Ticket) -> Refusal | None:
        """Give the ticket a place (`is_inside`) or queue it; a Refusal when it would wait too long."""
        share = self._shares[ticket.share]
        with self._lock:
            ticket.came = ticket.began = self._clock()
            queue = share.queues.get(ticket.tenant)
            if queue is None and share.has_place_for(ticket.tenant):  # no other tenant that waits could take it
                self._begin(share, ticket, now=ticket.came)
                return None
            wait_s = share.wait_s(ticket.tenant)
            if (wait_s > self._max_wait_s and share.queued >= max(_ALWAYS, share.size // 2)) or share.queued >= self._max_queued:
                return self._refuse(share, ticket.tenant, wait_s)
            if queue is None:
                queue = share.queues[ticket.tenant] = collections.deque()
            queue.append(ticket)
            share.queued += 1
            return None

    def leave(self, ticket: Ticket) -> list[Ticket]:
        """Give the place back; the tickets that have places now."""
        if not ticket.is_inside:
            return []
        share = self._shares[ticket.share]
        with self._lock:
            ticket.is_inside = False
            share.inside -= 1
            share.by_tenant[ticket.tenant] -= 1
            if not share.by_tenant[ticket.tenant]:
                del share.by_tenant[ticket.tenant]
            share.service_s += _WEIGHT * (self._clock() - ticket.began - share.service_s)
            return self._let_in(share) if share.queued else []

    def overdue(self, late_s: float) -> list[Ticket]:
        """The tickets that have waited for longer; they wait no more."""
        late: list[Ticket] = []
        with self._lock:
            since = self._clock() - late_s
            for share in self._shares.values():
                for tenant, queue in list(share.queues.items()):
                    while queue and queue[0].came < since:
                        late.append(queue.popleft())
                        share.queued -= 1
                    if not queue:
                        del share.queues[tenant]
        return late

    def waited_s(self, ticket: Ticket) -> float:
        """How long the ticket has been waiting for its place."""
        return ticket.began - ticket.came

    def _let_in(self, share: _Share) -> list[Ticket]:
        entered: list[Ticket] = []
        for _ in range(len(share.queues)):
            if share.inside >= share.size:
                break
            tenant, queue = next(iter(share.queues.items()))
            share.queues.move_to_end(tenant)
            if not share.has_place_for(tenant):
                continue
            ticket = queue.popleft()
            share.queued -= 1
            if not queue:
                del share.queues[tenant]
            self._begin(share, ticket, now=self._clock())
            entered.append(ticket)
        return entered

    def _begin(self, share: _Share, ticket: Ticket, *, now: float) -> None:
        ticket.began = now
        ticket.is_inside = True
        share.inside += 1
        share.by_tenant[ticket.tenant] += 1

    def _refuse(self, share: _Share, tenant: str, wait_s: float) -> Refusal:
        own = len(share.queues.get(tenant, ()))
        others = share.queued - own
        retry_after_s = max(1, min(60, math.ceil(wait_s)))
        if own > others and others:
            return Refusal(429, retry_after_s, "Too many requests of this project are waiting; try again shortly.")
        return Refusal(503, retry_after_s, "Too many requests are waiting; try again shortly.")
