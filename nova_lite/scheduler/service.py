# SPDX-License-Identifier: Apache-2.0
"""nova-scheduler: picks a host by filters and weighers, and claims it by one guarded UPDATE."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.db.compute import server_migrations
from nova_lite.db.engine import Database
from nova_lite.db.hosts import claims, hosts, observation
from nova_lite.rpc import stopping
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.rpc.scheduler import Placement, PlacementRequest, SchedulerRpc
from nova_lite.runtime.failpoints import fail
from nova_lite.scheduler import affinity, pipeline, view
from nova_lite.scheduler.volumes.placements import PoolPlacements

LOG = logging.getLogger(__name__)
# Threads that handle requests; more would only wait for a database connection, and each idle one wakes once a second.
THREADS = 16


class Placements:
    """The endpoint. Several schedulers may run: each uses its view for a moment, the claim's guard decides."""

    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, *, rng: random.Random, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._conf = conf
        self._database = database
        self._rng = rng
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._hosts: dict[str, view.Host] = {}
        self._read_at = float("-inf")
        self._began = monotonic()
        self._ratios = claims.allocation_ratios(conf)

    def pick_host(self, ctxt: Context, *, request: PlacementRequest) -> Placement:  # noqa: ARG002 - the contract's shape
        try:
            placement = self._place(request)
        except claims.AlreadyClaimedError:
            placement = self._existing(request)
        fail("scheduler.claimed")
        LOG.info("server %s: placed on host %s", request.server_id, placement.host)
        return placement

    def resize_claim(self, ctxt: Context, *, request: PlacementRequest) -> None:  # noqa: ARG002 - the contract's shape
        with self._database.writer() as session:
            context = affinity.read(session, request)
            claim = next((claim for claim in claims.of_server(session, request.server_id)
                          if claim.host == request.forced_host), None)
            candidates = [] if claim is None else [
                host.without_claim(claim.resources) for host in self._fresh(session) if host.name == request.forced_host]
            outcome = pipeline.choose(context.apply(candidates), request, rng=self._rng)
            if not outcome.fitting:
                raise errors.NoValidHost(reason=outcome.explain())
            if not claims.change(session, server_id=request.server_id, host=outcome.fitting[0].name,
                                 resources=request.resources, ratios=self._ratios):
                raise errors.NoValidHost(reason="Another server has just claimed the free capacity of the server's host.")
            # Under the claim's lock, which the end of a resize takes too.
            if request.migration is not None and not server_migrations.is_claiming(session, request.migration):
                raise errors.StaleRequest(f"server {request.server_id}: migration {request.migration} is past its claim")

    def _place(self, request: PlacementRequest) -> Placement:
        """:raises claims.AlreadyClaimedError: an earlier delivery of the request has claimed a host."""
        with self._database.writer() as session:
            context = affinity.read(session, request)
            placement = self._claim(session, request, context.apply(self._recent(session)))
            # An old view may have refused hosts that have free capacity again, or chosen full ones: read it anew.
            placement = placement or self._claim(session, request, context.apply(self._fresh(session)))
            if placement is None:
                # No host may fit because the server has its place already.
                placement = self._claimed(session, request)
            if placement is None:
                candidates = self._fresh(session)
                if not candidates and self._is_new():
                    raise errors.Unavailable(reason="No compute host has reported yet")
                outcome = pipeline.choose(context.apply(candidates), request, rng=self._rng)
                raise errors.NoValidHost(reason=outcome.explain())
        return placement

    def _is_new(self) -> bool:
        """Whether hosts may just not have reported yet: the whole cloud may have started a moment ago, and builds wait for the first."""
        return self._monotonic() - self._began < float(self._conf.service_down_time)

    def _existing(self, request: PlacementRequest) -> Placement:
        with self._database.reader() as session:
            placement = self._claimed(session, request)
        if placement is None:
            raise errors.NoValidHost(reason="The server's host was removed while it was placed.")
        return placement

    def _claimed(self, session: Session, request: PlacementRequest) -> Placement | None:
        """The claim of an earlier delivery of the same request."""
        for claim in claims.of_server(session, request.server_id):
            row = next((host for host in hosts.hosts(session) if host.name == claim.host), None)
            if row is not None and claim.host not in request.excluded:
                return Placement(host=row.name, agent=row.agent, availability_zone=row.availability_zone)
        return None

    def _claim(self, session: Session, request: PlacementRequest, candidates: list[view.Host]) -> Placement | None:
        for host in pipeline.choose(candidates, request, rng=self._rng).fitting:
            if claims.take(session, server_id=request.server_id, host=host.name, resources=request.resources,
                           ratios=self._ratios, availability_zone=host.availability_zone, excluded=request.excluded):
                with self._lock:
                    if host.name in self._hosts:
                        self._hosts[host.name] = self._hosts[host.name].with_claim(request.resources)
                return Placement(host=host.name, agent=host.agent, availability_zone=host.availability_zone)
        return None

    def _recent(self, session: Session) -> list[view.Host]:
        with self._lock:
            if self._monotonic() - self._read_at <= self._conf.scheduler.view_age_s:
                return list(self._hosts.values())
        return self._fresh(session)

    def _fresh(self, session: Session) -> list[view.Host]:
        now = observation.observed(session, down_time_s=self._conf.service_down_time)
        hosts_now = view.read(session, self._conf, now=now)
        with self._lock:
            self._hosts = {host.name: host for host in hosts_now}
            self._read_at = self._monotonic()
        return hosts_now


class SchedulerService:
    """One nova-scheduler."""

    def __init__(self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport, database: Database) -> None:
        placements = Placements(conf, database, rng=random.Random())  # spreads load, guards nothing
        pool_placements = PoolPlacements(conf, database, rng=random.Random())
        self._server = serve(SchedulerRpc, transport, conf.host, [placements, pool_placements])
        status = ServiceReport(binary="nova-scheduler", agent=conf.host, availability_zone="internal")
        self._heartbeat = Heartbeat(ConductorRpc.client(transport), lambda: status, interval_s=conf.report_interval)

    def start(self) -> None:
        """Serve and report; returns at once."""
        self._server.start(override_pool_size=THREADS)
        self._heartbeat.start()

    def stop(self) -> None:
        """Stop after the requests that are being handled."""
        self._heartbeat.stop()
        stopping.stop(self._server)
