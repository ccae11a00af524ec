# SPDX-License-Identifier: Apache-2.0
"""nova-conductor: carries out workflows, writes down outcomes, and reconciles what was lost. Wiring only."""

from __future__ import annotations

import datetime
import functools
import os
import threading
import time
import uuid
from concurrent import futures

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite.conductor.engine import journal
from nova_lite.conductor.engine import services as engine_services
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import Run, TryLater, carry_out
from nova_lite.conductor.image_caches import ImageCaches
from nova_lite.conductor.instance_metadata import Documents
from nova_lite.conductor.network_sync import COALESCE_S, NetworkSync
from nova_lite.conductor.reconcilers import RECONCILERS
from nova_lite.conductor.reports import ActionReports, Heartbeats, PowerChanges
from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.context import Context
from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import UNDOING, Action
from nova_lite.db.engine import Database
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.runtime import tokens
from nova_lite.runtime.periodic import Periodic

LOG = logging.getLogger(__name__)
# How long an action rests after a failure that only time can mend.
RETRY_S = 5.0
# How long an ending conductor waits for its workflows: any of them goes on elsewhere from its journal.
HAND_OVER_S = 3.0


class Workflows:
    """Endpoint: takes an action's lease and carries its workflow out; leases are renewed until it ends.

    Workflows have threads of their own: however many wait their turn, outcomes and heartbeats are not held up.
    """

    def __init__(self, services: Services, *, owner: str) -> None:
        self._services = services
        self._owner = owner
        self._lease_s = float(services.conf.conductor.lease_s)
        self._threads = futures.ThreadPoolExecutor(services.conf.conductor.workers, thread_name_prefix="workflow")
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._active: set[int] = set()

    def run(self, ctxt: Context, *, action_id: int) -> None:
        with self._lock:
            if action_id in self._waiting:
                return  # the same hint again: its turn will come
            self._waiting.add(action_id)
        self._threads.submit(self._in_turn, ctxt, action_id)

    def _in_turn(self, ctxt: Context, action_id: int) -> None:
        with self._lock:
            self._waiting.discard(action_id)
        try:
            self.take_up(ctxt, action_id)
        except Exception:  # noqa: BLE001 - the row is the truth: whatever broke, a reconciler hints again
            LOG.exception("action %s could not be carried out now", action_id)

    def take_up(self, ctxt: Context, action_id: int) -> None:
        """Carry the action out now, in this thread; nothing happens when somebody else has its lease."""
        found = journal.take(
            self._services.database, action_id, owner=self._owner, lease_s=self._lease_s, now=self._services.now,
            next_step=_next_step)
        if found is None:
            return
        with self._lock:
            self._active.add(action_id)
        try:
            self._carry_out(ctxt, found)
        finally:
            with self._lock:
                self._active.discard(action_id)

    def stop(self) -> None:
        """Give what is under way a moment to end; the rest is for another conductor, or for the next start."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + HAND_OVER_S
        while self._active and time.monotonic() < deadline:
            time.sleep(0.05)

    def _carry_out(self, ctxt: Context, found: journal.Journal) -> None:
        action = found.action
        run = Run(ctxt=ctxt, server_id=action.server_id, action_id=action.id, inputs=action.inputs,
                  saved=dict(action.saved), services=self._services, attempt=action.attempt)
        began = self._services.now()
        try:
            is_done = carry_out(WORKFLOWS[action.name], run, found)
        except TryLater as later:
            LOG.warning("server %s: %s will be tried again: %s", action.server_id, action.name, later)
            until = self._services.now() + datetime.timedelta(seconds=RETRY_S)
            journal.let_go(self._services.database, action.id, owner=self._owner, until=until)
            return
        LOG.info("server %s: %s %s in %.3f s", action.server_id, action.name, "done" if is_done else "ended",
                 (self._services.now() - began).total_seconds())

    def renew(self) -> None:
        """Keep what this conductor works on."""
        with self._lock:
            active = sorted(self._active)
        journal.renew(self._services.database, active, owner=self._owner, lease_s=self._lease_s, now=self._services.now)


def _next_step(action: Action) -> str | None:
    """What the action's workflow will do first; None: it goes backward, or this conductor does not know it."""
    if action.state == UNDOING or action.name not in WORKFLOWS:
        return None
    return WORKFLOWS[action.name].next_step(action.step)


class ConductorService:
    """One nova-conductor."""

    def __init__(self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport, database: Database) -> None:
        issuer = tokens.open_tokens(conf)
        network_push = Periodic("network sync", lambda: network_sync.push(), interval_s=conf.conductor.reconcile_interval,
                                settle_s=COALESCE_S)
        services = engine_services.over(
            transport, conf=conf, database=database, now=utcnow, network_changed=network_push.call_soon,
            image_token=lambda project_id: issuer.issue_service(project_id=project_id))
        network_sync = NetworkSync(services)
        self._services = services
        self._workflows = Workflows(services, owner=f"{conf.host}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
        self._heartbeats = Heartbeats(services)
        self._server = serve(ConductorRpc, transport, conf.host, [
            self._workflows, ActionReports(services), PowerChanges(services), Documents(services), ImageCaches(services),
            network_sync, self._heartbeats])
        status = ServiceReport(binary="nova-conductor", agent=conf.host, availability_zone="internal")
        self._heartbeat = Heartbeat(ConductorRpc.client(transport), lambda: status, interval_s=conf.report_interval)
        self._periodics = [
            network_push,
            Periodic("lease renewal", self._workflows.renew, interval_s=conf.conductor.lease_s / 3),
            *(Periodic(reconciler.work.__module__, functools.partial(reconciler.work, services),
                       interval_s=conf.conductor.reconcile_interval * reconciler.every) for reconciler in RECONCILERS),
        ]

    def start(self) -> None:
        """Serve, report and reconcile; returns at once."""
        self._take_over_from_the_dead()
        self._heartbeats.start()
        self._server.start()
        self._heartbeat.start()
        for periodic in self._periodics:
            periodic.start()

    def _take_over_from_the_dead(self) -> None:
        """A conductor of this host whose process is gone will not go on: its actions need not wait for their leases."""
        host = self._services.conf.host
        dead = [owner for owner in journal.owners(self._services.database) if _is_dead(owner, host)]
        freed = journal.free(self._services.database, dead, now=self._services.now)
        if freed:
            LOG.info("%s actions of conductors that died on this host are taken up again", freed)

    def stop(self) -> None:
        """Finish what is in hand; what does not end in time is taken up by another conductor."""
        for periodic in self._periodics:
            periodic.stop()
        self._heartbeat.stop()
        self._server.stop()
        self._server.wait()
        self._workflows.stop()
        self._heartbeats.stop()


def _is_dead(owner: str, host: str) -> bool:
    """Whether the owner of a lease is a process of this host that is no more; `owner` as made in ConductorService."""
    name, pid, _ = owner.rsplit(":", 2)
    return name == host and int(pid) != os.getpid() and not os.path.exists(f"/proc/{pid}")
