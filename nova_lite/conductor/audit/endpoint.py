# SPDX-License-Identifier: Apache-2.0
"""The audit on the message bus: looks twice, and has the reconcilers repair."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor import reconcilers
from nova_lite.conductor.audit import hosts, rows
from nova_lite.conductor.audit.look import Look
from nova_lite.conductor.audit.rows import Limits
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import HostReconciler
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.context import Context
from nova_lite.db import clock
from nova_lite.rpc.audit import AuditReport

LOG = logging.getLogger(__name__)
# Between the two looks; rows and hosts are not read at one moment.
CONFIRM_S = 2.0


class Audits:
    """Endpoint: audit and repair. `deadline_s` of an action by its name; `look()` has stalled actions looked at now."""

    def __init__(self, services: Services, *, deadline_s: Callable[[str], float], look: Callable[[], None],
                 wait: Callable[[float], None] = time.sleep) -> None:
        self._services, self._deadline_s, self._look, self._wait = services, deadline_s, look, wait

    def audit(self, ctxt: Context, *, settled_s: float) -> AuditReport:
        first = self._look_once(Look(), settled_s)
        report = first.report()
        if report.findings:
            self._wait(CONFIRM_S)
            report = self._look_once(Look(first), settled_s).report()
        LOG.info("audit: %d findings", len(report.findings) + sum(report.omitted.values()))
        return report

    def repair(self, ctxt: Context) -> None:
        failed = []
        for reconciler in reconcilers.RECONCILERS:
            LOG.info("audit: %s runs now", reconciler.name)
            try:
                if isinstance(reconciler, HostReconciler):
                    reconciler.work(self._services, HostCalls())
                else:
                    reconciler.work(self._services)
            except Exception:  # the others may repair what they can
                LOG.exception("audit: %s failed", reconciler.name)
                failed.append(reconciler.name)
        self._look()
        self._services.network_changed()
        if failed:
            raise errors.Unavailable(reason=f"These reconcilers failed, and the conductor's log says why: {', '.join(failed)}. The others have run.")

    def _look_once(self, look: Look, settled_s: float) -> Look:
        with self._services.database.reader() as session:
            now = clock.read(session)
            limits = Limits(now=now, settled=now - datetime.timedelta(seconds=settled_s), deadline_s=self._latest_s)
            for finding in rows.check(session, limits):
                look.add(finding)
        hosts.check(self._services, limits, look)
        return look

    def _latest_s(self, name: str) -> float:
        """What a worker is at work on may take longer than its deadline; see reconcilers/stalled_actions.py."""
        return max(self._deadline_s(name), float(self._services.conf.conductor.long_action_timeout))
