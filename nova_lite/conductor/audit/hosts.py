# SPDX-License-Identifier: Apache-2.0
"""The audit of hosts: calls every worker that lives for what it has, page by page, and has each page compared with the rows."""

from __future__ import annotations

import functools
import threading

import oslo_messaging as messaging

from nova_lite import errors
from nova_lite.conductor.audit import kinds, pages
from nova_lite.conductor.audit.look import Look
from nova_lite.conductor.audit.rows import Limits
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK
from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.context import system_context
from nova_lite.db.hosts import hosts, observation

# A worker that has not answered by then is not checked.
ROUND_S = 40.0
# Pages of one worker: one that goes on for ever is not checked.
MOST_PAGES = 1000
_LATE = "no answer in time"


class _Round:
    """The calls of one look. What comes after its end is left out."""

    def __init__(self, services: Services, limits: Limits, look: Look) -> None:
        self._services, self._limits, self._look = services, limits, look
        self._lock = threading.Lock()
        self._is_over = False
        self.reasons: dict[tuple[str, str], str] = {}  # by worker that answered: why it is not checked, or nothing

    def compare(self, worker: tuple[str, str]) -> None:
        """Compare all that the worker has; one page at a time is held, and one session is opened for each."""
        reason = ""
        try:
            self._compare_pages(worker)
        except errors.NovaLiteError as error:
            reason = error.text
        except messaging.MessagingException as error:
            reason = str(error)
        with self._lock:
            if not self._is_over:
                self.reasons[worker] = reason

    def end(self) -> None:
        """Those that have not answered are late."""
        with self._lock:
            self._is_over = True

    def _compare_pages(self, worker: tuple[str, str]) -> None:
        binary, agent = worker
        after = ""
        for _ in range(MOST_PAGES):
            client = self._services.compute(agent) if binary == COMPUTE else self._services.network(agent)
            page = client.audit_host(system_context(), after=after)
            if self._is_over:
                return
            self._compare_page(pages.Page(agent=agent, after=after, holds=page))
            if not page.next:
                return
            after = page.next
        raise errors.Unavailable(reason=f"it has more than {MOST_PAGES} pages")

    def _compare_page(self, page: pages.Page) -> None:
        if not page.after:
            self._look.add_report(page.holds.found)
        with self._services.database.reader() as session:
            compared = pages.compare(session, page, self._limits)
        for finding in compared.findings:
            self._look.add(finding)
        for elsewhere, placed in compared.elsewhere.items():
            is_there = orphans.held(self._services, elsewhere, page.binary, placed)
            for server_id, host in placed.items():
                self._look.add(pages.left_over(page, server_id, host) if server_id in is_there else pages.misplaced(page, server_id, host))


def check(services: Services, limits: Limits, look: Look) -> None:
    """Compare what every worker has that lives, side by side; those that are not heard are findings too."""
    with services.database.reader() as session:
        now = observation.observed(session, down_time_s=services.conf.service_down_time)
        workers = {(service.binary, service.agent): hosts.is_alive(service, now=now, down_time_s=services.conf.service_down_time)
                   for service in hosts.services(session) if service.binary in (COMPUTE, NETWORK)}
    one = _Round(services, limits, look)
    alive = [worker for worker, is_alive in sorted(workers.items()) if is_alive]
    HostCalls(round_s=ROUND_S).run({" on ".join(worker): functools.partial(one.compare, worker) for worker in alive})
    one.end()
    for (binary, agent), is_alive in sorted(workers.items()):
        reason = one.reasons.get((binary, agent), _LATE) if is_alive else "it is down"
        if reason:
            look.add(kinds.NOT_CHECKED.found(agent, f"{binary}: {reason}", host=agent))
