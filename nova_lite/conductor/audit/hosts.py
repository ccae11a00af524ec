# SPDX-License-Identifier: Apache-2.0
"""The audit of hosts: calls every worker that lives for what it has, page by page, and has each page compared with the rows."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterable

import oslo_messaging as messaging
import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor import answers
from nova_lite.conductor.audit import kinds, pages
from nova_lite.conductor.audit.look import Look
from nova_lite.conductor.audit.rows import Limits
from nova_lite.conductor.engine import passing
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK
from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.context import system_context
from nova_lite.db.hosts import hosts, observation
from nova_lite.db.hosts.hosts import Service
from nova_lite.rpc.compute import ComputeRpc, GuestAudit
from nova_lite.rpc.network import NetworkAudit, NetworkRpc

LOG = logging.getLogger(__name__)
# A worker that has not been compared by then is not checked.
ROUND_S = 40.0
# Pages of one worker: one that goes on for ever is not checked.
MOST_PAGES = 1000
# Of an error that a worker sends.
_MOST_LETTERS = 300
# Why a worker is not checked when the round ends before it is.
_NOT_CALLED = "it was not called, since workers before it did not answer in time"
_LATE = "no answer in time"
_NOT_COMPARED = "its answer was not compared in time, or could not be: then the conductor's log says why"
_LATE_ELSEWHERE = "it has servers of other hosts, which did not answer in time"
# Binary and agent.
_Worker = tuple[str, str]


class _Over(Exception):
    """The round has ended."""


class _Round:
    """The calls of one look. After its end no call and no comparison begins."""

    def __init__(self, services: Services, limits: Limits, look: Look, workers: Iterable[_Worker]) -> None:
        self._services, self._limits, self._look = services, limits, look
        self._lock = threading.Lock()
        self._is_over = False
        self._reasons = dict.fromkeys(workers, _NOT_CALLED)

    def compare(self, worker: _Worker) -> None:
        """Compare all that the worker has; one page at a time is held, and one session is opened for each."""
        reason = ""
        with contextlib.suppress(_Over):
            try:
                self._compare_pages(worker)
            except errors.NovaLiteError as error:
                reason = error.text
            except messaging.MessagingException as error:
                reason = f"it failed: {error.exc_type}" if isinstance(error, messaging.RemoteError) else str(error)
            except sa.exc.SQLAlchemyError as error:
                LOG.warning("audit: %s on %s could not be compared with the rows: %s", *worker, error)
                reason = passing.text_of(error, "comparing it with the rows").text
            self._go_on(worker, reason[:_MOST_LETTERS])

    def end(self) -> dict[_Worker, str]:
        """By worker why it is not checked; empty: it is."""
        with self._lock:
            self._is_over = True
            return self._reasons

    def _go_on(self, worker: _Worker, reason: str) -> None:
        """Begin what is next. `reason`: why the worker is not checked if the round ends meanwhile.

        :raises _Over: it has ended.
        """
        with self._lock:
            if self._is_over:
                raise _Over
            self._reasons[worker] = reason

    def _compare_pages(self, worker: _Worker) -> None:
        binary, agent = worker
        client = self._services.compute(agent) if binary == COMPUTE else self._services.network(agent)
        after = ""
        for _ in range(MOST_PAGES):
            self._go_on(worker, _LATE)
            page = _page(client, after)
            self._go_on(worker, _NOT_COMPARED)
            answers.check_page(page, agent=agent, after=after, kinds=kinds.OF_WORKERS[binary])
            self._compare_page(pages.Page(agent=agent, after=after, holds=page))
            if not page.next:
                return
            after = page.next
        raise errors.Unavailable(reason=f"it has more than {MOST_PAGES} pages")

    def _compare_page(self, page: pages.Page) -> None:
        if not page.after:
            self._look.add_report(kinds.of_worker(page.binary, page.agent, page.holds.found))
        with self._services.database.reader() as session:
            compared = pages.compare(session, page, self._limits)
        for finding in compared.findings:
            self._look.add(finding)
        for elsewhere, placed in compared.elsewhere.items():
            self._go_on((page.binary, page.agent), _LATE_ELSEWHERE)
            is_there = orphans.held(self._services, elsewhere, page.binary, placed)
            for server_id, host in placed.items():
                self._look.add(pages.left_over(page, server_id, host) if server_id in is_there else pages.misplaced(page, server_id, host))


def _page(client: ComputeRpc | NetworkRpc, after: str) -> GuestAudit | NetworkAudit:
    """:raises errors.Unavailable: the worker failed, in whatever way."""
    try:
        return client.audit_host(system_context(), after=after)
    except (errors.NovaLiteError, messaging.MessagingException):
        raise
    except Exception as error:  # in one process, and unsigned, errors come as they are
        LOG.warning("audit: a worker failed: %r", error)
        raise errors.Unavailable(reason=f"it failed: {type(error).__name__}") from error


def check(services: Services, limits: Limits, look: Look) -> None:
    """Compare what every worker has that lives, side by side; those that are not compared are findings too."""
    with services.database.reader() as session:
        now = observation.observed(session, down_time_s=services.conf.service_down_time)
        workers = {(service.binary, service.agent): _why_not(service, now, services.conf.service_down_time)
                   for service in hosts.services(session) if service.binary in (COMPUTE, NETWORK)}
    alive = [worker for worker, why_not in sorted(workers.items()) if not why_not]
    one = _Round(services, limits, look, alive)
    HostCalls(round_s=ROUND_S).run({" on ".join(worker): functools.partial(one.compare, worker) for worker in alive})
    reasons = one.end()
    for (binary, agent), why_not in sorted(workers.items()):
        reason = why_not or reasons[binary, agent]
        if reason:
            look.add(kinds.NOT_CHECKED.found(agent, f"{binary}: {reason}", host=agent))


def _why_not(service: Service, now: observation.Observed, down_time_s: float) -> str:
    """Why the worker is not called; empty: it is."""
    if not hosts.is_alive(service, now=now, down_time_s=down_time_s):
        return "it is down"
    return "it is of an earlier release" if service.is_outdated else ""
