# SPDX-License-Identifier: Apache-2.0
"""nova-conductor: carries out workflows, writes down outcomes, and reconciles what was lost. Wiring only."""

from __future__ import annotations

import functools
import os
import time
import uuid

import oslo_messaging as messaging
import sqlalchemy as sa
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite.conductor import reconcilers
from nova_lite.conductor.admissions import Admissions
from nova_lite.conductor.audit.endpoint import Audits
from nova_lite.conductor.endpoints import Workflows
from nova_lite.conductor.engine import journal
from nova_lite.conductor.engine import services as engine_services
from nova_lite.conductor.engine.engine import Engine
from nova_lite.conductor.engine.threads import Threads
from nova_lite.conductor.image_caches import ImageCaches
from nova_lite.conductor.instance_metadata import Documents
from nova_lite.conductor.network_sync import COALESCE_S, NetworkSync
from nova_lite.conductor.reconcilers import HostReconciler, orphans, ownership
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.conductor.reconcilers.lost_rows import LostRows
from nova_lite.conductor.reconcilers.ownership import Ownership
from nova_lite.conductor.reconcilers.stalled_actions import StalledActions
from nova_lite.conductor.reports import Heartbeats, PowerChanges
from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.db import database_epoch
from nova_lite.db.base import utcnow
from nova_lite.db.engine import Database
from nova_lite.db.hosts import conductor_leases
from nova_lite.payloads.environment import Environment
from nova_lite.rpc import stopping
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.runtime import addresses, tokens
from nova_lite.runtime.periodic import Periodic

LOG = logging.getLogger(__name__)
# How long an ending conductor waits for its control steps: any workflow goes on elsewhere from its journal.
HAND_OVER_S = 3.0
# Threads that handle messages; more would only wait for a database connection, and each idle one wakes once a second.
THREADS = 16
# So long after a worker's heartbeat its row shows that it lives: they are written once a second.
WRITTEN_S = 2.0
# Seconds between two looks for actions that nobody works on and reports that were lost.
LOOK_S = 2.0


class ConductorService:
    """One nova-conductor."""

    def __init__(self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport, database: Database) -> None:
        issuer = tokens.open_tokens(conf)
        network_push = Periodic("network sync", lambda: network_sync.push(), interval_s=conf.conductor.reconcile_interval,
                                settle_s=COALESCE_S)
        services = engine_services.over(transport, conf=conf, database=database, now=utcnow, network_changed=network_push.call_soon, environment=Environment(
            dns_domain=conf.network.dns_domain, open_secret=issuer.decrypt_secret, seal_secret=issuer.encrypt_secret,
            public_url=addresses.api_url(conf),
            image_token=issuer.issue_for_image))
        network_sync = NetworkSync(services)
        self._services = services
        self._threads = Threads(conf.conductor.workers)
        owner = f"{conf.host}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._engine = Engine(services, WORKFLOWS, owner=owner,
                              submit=self._threads.submit, wake=self._threads.wake)
        self._ownership = Ownership(database, owner=owner, lease_s=float(conf.conductor.lease_s), gained=self._reconcile_soon)
        stalled_actions = StalledActions(services, self._engine, HostCalls(round_s=LOOK_S, owns=self._ownership.owns))
        look = Periodic("stalled actions", stalled_actions.look, interval_s=min(LOOK_S, conf.conductor.reconcile_interval))

        def worker_started(binary: str, agent: str) -> None:
            stalled_actions.worker_started(binary, agent)
            look.call_soon()
            left_overs.call_soon()  # of what was deleted while the worker was away

        self._heartbeats = Heartbeats(services, started=worker_started)
        self._server = serve(ConductorRpc, transport, conf.host, [
            Workflows(self._engine), PowerChanges(services), Documents(services), ImageCaches(services),
            network_sync, Admissions(services), self._heartbeats, Audits(services, deadline_s=self._engine.deadline_s, look=look.call_soon)])
        status = ServiceReport(binary="nova-conductor", agent=conf.host, availability_zone="internal")
        self._heartbeat = Heartbeat(ConductorRpc.client(transport), lambda: status, interval_s=conf.report_interval)
        self._reconcilers = [Periodic(
            reconciler.name, functools.partial(reconcilers.run, reconciler, services, HostCalls(owns=self._ownership.owns)),
            interval_s=conf.conductor.reconcile_interval * reconciler.every,
            settle_s=WRITTEN_S if isinstance(reconciler, HostReconciler) else 0.0) for reconciler in reconcilers.RECONCILERS]
        left_overs = next(periodic for periodic, reconciler in zip(self._reconcilers, reconcilers.RECONCILERS, strict=True)
                          if reconciler.work is orphans.remove)
        self._periodics = [
            network_push, look,
            Periodic("lost rows", LostRows(services).look, interval_s=LOOK_S),
            Periodic("lease renewal", self._engine.renew_leases, interval_s=conf.conductor.lease_s / 3),
            Periodic("reconcilers' lease", self._ownership.renew, interval_s=conf.conductor.lease_s / ownership.RENEWALS),
            *self._reconcilers,
        ]

    def start(self) -> None:
        """Serve, report and reconcile; returns at once."""
        with self._services.database.writer() as session:
            database_epoch.renew(session)
        self._take_over_from_the_dead()
        self._ownership.renew()
        self._heartbeats.start()
        self._server.start(override_pool_size=THREADS)
        self._heartbeat.start()
        for periodic in self._periodics:
            periodic.start()

    def _release_share(self) -> None:
        try:
            self._ownership.release()
        except sa.exc.SQLAlchemyError as error:
            LOG.warning("other conductors take over the reconcilers' work only after [conductor] lease_s: %s", error)

    def _reconcile_soon(self) -> None:
        for reconciler in self._reconcilers:
            reconciler.call_soon()

    def _take_over_from_the_dead(self) -> None:
        """A conductor of this host whose process is gone will not go on: its actions need not wait for their leases."""
        host = self._services.conf.host
        with self._services.database.reader() as session:
            leases = conductor_leases.read(session, lease_s=float(self._services.conf.conductor.lease_s))
        owners = journal.owners(self._services.database) | {lease.owner for lease in leases}
        dead = [owner for owner in owners if _is_dead(owner, host)]
        with self._services.database.writer() as session:
            conductor_leases.end(session, dead)
        freed = journal.free(self._services.database, dead)
        if freed:
            LOG.info("%s actions of conductors that died on this host are taken up again", freed)

    def stop(self) -> None:
        """Finish what is in hand; what does not end in time is taken up by another conductor."""
        for periodic in self._periodics:
            periodic.stop()
        self._release_share()
        self._heartbeat.stop()
        stopping.stop(self._server)
        self._threads.stop()
        deadline = time.monotonic() + HAND_OVER_S
        while self._engine.active and time.monotonic() < deadline:
            time.sleep(0.05)
        self._heartbeats.stop()


def _is_dead(owner: str, host: str) -> bool:
    """Whether the owner of a lease is a process of this host that is no more; `owner` as made in ConductorService."""
    name, pid, _ = owner.rsplit(":", 2)
    return name == host and int(pid) != os.getpid() and not os.path.exists(f"/proc/{pid}")
