# SPDX-License-Identifier: Apache-2.0
"""Threads that answer the requests which the front has read and admission has let in."""

from __future__ import annotations

import functools
import http
import logging
import queue
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Final

from nova_lite.runtime.http import exchange
from nova_lite.runtime.http.admission import Admission, Refusal, Ticket
from nova_lite.runtime.http.connection import Connection
from nova_lite.runtime.http.front import Front
from nova_lite.runtime.http.head import BadHead
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.peers import Peer
from nova_lite.runtime.http.policy import TRANSFERS, Policy
from nova_lite.runtime.http.wire import Allowance

LOG = logging.getLogger(__name__)
# For this long a thread stays with a connection whose next request is likely to come soon: the way through the
# front costs more than a small request does.
_LINGER_MS: Final = 500
_SAID_EVERY_S: Final = 10.0
_LATE: Final = Refusal(503, 2, "The request has waited for too long; try again shortly.")
App = Callable[..., Iterable[bytes]]


class Server:
    """`serve` blocks until `stop`. `threads`: as many answer at once, beside those that linger."""

    def __init__(
        self, app: App, listener: socket.socket, *, admission: Admission, policy: Policy, threads: int, limits: Limits | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._app, self._admission, self._policy = app, admission, policy
        self._limits = limits or Limits()
        self._front = Front(listener, self._limits, self._came, look=self._refuse_late, peer=peer)
        self._base = exchange.base_environ(*listener.getsockname()[:2])
        self._ready: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._most_threads = threads + self._limits.lingering
        self._threads = self._idle = self._busy = 0
        self._permits = [None] * self._limits.lingering
        self._refused, self._said_at = 0, float("-inf")

    def serve(self) -> None:
        """Answer requests until `stop`, and then those that have come."""
        self._front.run()
        with self._lock:
            self._lock.wait_for(lambda: not self._busy, timeout=self._limits.end_s)
            threads = self._threads
        for _ in range(threads):
            self._ready.put(None)
        self._front.close_all()

    def stop(self) -> None:
        """Accept no more; returns at once."""
        self._front.stop()

    def _came(self, connection: Connection) -> None:
        """A request is whole: admit, queue or refuse it."""
        ticket = self._ticket(connection)
        if ticket is None:
            return
        if ticket.is_inside:
            self._hand_over(ticket)

    def _ticket(self, connection: Connection) -> Ticket | None:
        """The request's ticket, inside or queued; None: it was refused."""
        head = connection.head
        assert head is not None
        share = TRANSFERS if connection.streams else self._policy.share(head)
        ticket = Ticket(share, self._policy.tenant(head, connection.address[0]), connection)
        with self._lock:
            self._busy += 1
        refusal = self._policy.refusal(head)
        if refusal is None:
            ticket.over = self._policy.admitted(head)  # before it enters: then another thread may answer it at once
            refusal = self._admission.enter(ticket)
        if refusal is None:
            return ticket
        self._refuse(ticket, refusal)
        return None

    def _refuse_late(self) -> None:
        """Refuse what has waited for too long, though nobody has left."""
        for ticket in self._admission.overdue(self._limits.late_s):
            self._refuse(ticket, _LATE)

    def _hand_over(self, ticket: Ticket) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._threads < self._most_threads:
                self._threads += 1
                threading.Thread(target=self._work, name=f"http-{self._threads}", daemon=True).start()
        self._ready.put(ticket)

    def _work(self) -> None:
        while (ticket := self._ready.get()) is not None:
            next_ticket: Ticket | None = ticket
            while next_ticket is not None:
                next_ticket = self._answer(next_ticket)
            with self._lock:
                self._idle += 1

    def _answer(self, ticket: Ticket) -> Ticket | None:
        """Answer one request; the next one for this thread, of the same connection or of another."""
        connection: Connection = ticket.job
        waited_s = self._admission.waited_s(ticket)
        if waited_s > self._limits.late_s:
            return self._refuse(ticket, _LATE)
        keeps = False
        try:
            if not waited_s or not connection.wire.is_gone():
                keeps = self._exchange(ticket, connection)
        except Exception:
            LOG.exception("a connection failed")
        following = self._leave(ticket)
        connection.served += 1
        self._settle(ticket)
        if not keeps:
            self._front.close(connection)
            return following
        connection.begin()
        if connection.unsent:
            self._front.wait_for_next(connection)
            return following
        return self._next_of(connection, following)

    def _exchange(self, ticket: Ticket, connection: Connection) -> bool:
        """Run the application; whether the connection may be used again."""
        head, wire = connection.head, connection.wire
        assert head is not None
        one = exchange.Exchange(head, wire, connection.body, grace_s=self._limits.grace_s, rate=self._limits.rate)
        environ = one.environ(self._base, connection.address)
        environ["nova.is_client_gone"] = wire.is_gone
        environ["nova.leave_share"] = functools.partial(self._give_place_back, ticket)
        try:
            rest, keeps = one.run(self._app, environ)
        except OSError as error:
            LOG.debug("%s: %s", connection.address[0], error)
            return False
        except Exception:
            LOG.exception("%s %s failed", head.method, urllib.parse.quote(head.path, encoding="latin-1"))
            rest, keeps = one.fail(), False
        finally:
            ticket.has_succeeded = one.has_succeeded
        self._policy.learn(head, environ)
        if rest and not keeps:
            self._send_last(connection, rest)
        elif rest:
            connection.unsent = rest
        return keeps

    def _send_last(self, connection: Connection, rest: bytes) -> None:
        try:
            connection.wire.send(rest, Allowance(self._limits.grace_s, self._limits.rate))
        except OSError as error:
            LOG.debug("%s: %s", connection.address[0], error)

    def _next_of(self, connection: Connection, following: Ticket | None) -> Ticket | None:
        """The connection's next request if it is there, or comes before any other needs this thread."""
        try:
            if not connection.wire.ahead:
                if following is not None or not self._comes_soon(connection):
                    self._front.wait_for_next(connection)
                    return following
                is_open = connection.wire.receive()
                if not is_open and not connection.wire.ahead:
                    self._front.close(connection)
                    return following
            if not connection.advance():
                self._front.wait_for_next(connection)
                return following
        except BadHead as error:
            self._front.refuse(connection, error.status, error.reason)
            return following
        except OSError:
            self._front.close(connection)
            return following
        ticket = self._ticket(connection)
        if ticket is None or not ticket.is_inside:
            return following
        if following is None:
            return ticket
        self._hand_over(following)
        return ticket

    def _comes_soon(self, connection: Connection) -> bool:
        try:
            permit = self._permits.pop()
        except IndexError:
            return False
        try:
            return not self._front.is_ending and connection.wire.has_more_within(_LINGER_MS)
        finally:
            self._permits.append(permit)

    def _leave(self, ticket: Ticket) -> Ticket | None:
        """Give the ticket's place back; one of those that got places is this thread's."""
        entered = self._admission.leave(ticket)
        for other in entered[1:]:
            self._hand_over(other)
        return entered[0] if entered else None

    def _give_place_back(self, ticket: Ticket) -> None:
        """For a request that waits from now on without work."""
        for other in self._admission.leave(ticket):
            self._hand_over(other)

    def _settle(self, ticket: Ticket) -> None:
        """The request is over."""
        ticket.over(ticket.has_succeeded)
        with self._lock:
            self._busy -= 1
            if not self._busy:
                self._lock.notify_all()

    def _refuse(self, ticket: Ticket, refusal: Refusal) -> Ticket | None:
        """Answer 429 or 503 without the application, and go on with the connection if its body has been read."""
        connection: Connection = ticket.job
        following = self._leave(ticket)
        self._count_refusal(refusal)
        status = http.HTTPStatus(refusal.status)
        head = connection.head
        keeps = head is not None and head.keeps_alive and not connection.streams and not connection.wire.ahead
        answer = exchange.simple(
            f"{refusal.status} {status.phrase}", refusal.reason, keeps=keeps, retry_after_s=refusal.retry_after_s)
        self._settle(ticket)
        if not keeps:
            self._front.end_with(connection, answer)
            return following
        connection.served += 1
        connection.begin()
        try:
            connection.unsent = connection.wire.send_now(answer)
        except OSError:
            self._front.close(connection)
        else:
            self._front.wait_for_next(connection)
        return following

    def _count_refusal(self, refusal: Refusal) -> None:
        with self._lock:
            self._refused += 1
            now = time.monotonic()
            if now - self._said_at < _SAID_EVERY_S:
                return
            count, self._refused, self._said_at = self._refused, 0, now
        LOG.warning("%d requests refused, the last one with %d: %s", count, refusal.status, refusal.reason)
