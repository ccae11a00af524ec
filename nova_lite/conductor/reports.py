# SPDX-License-Identifier: Apache-2.0
"""What workers report by themselves, written down: guests that changed, heartbeats."""

from __future__ import annotations

import dataclasses
import datetime
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite.conductor.engine.services import Services
from nova_lite.context import Context
from nova_lite.db import clock
from nova_lite.db.compute import servers
from nova_lite.db.compute.actions import DONE, Action
from nova_lite.db.hosts import hosts, observation
from nova_lite.db.network import network_changes
from nova_lite.lifecycle.servers import vm_state_of
from nova_lite.payloads import service_reports
from nova_lite.rpc.conductor import Inventory, PowerState, ServiceReport

LOG = logging.getLogger(__name__)
_UPTIME_S = 60
_CONDUCTOR = "nova-conductor"


class PowerChanges:
    """Endpoint: guests that changed by themselves."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def power_changed(self, ctxt: Context, *, host: str, states: tuple[PowerState, ...]) -> None:
        with self._services.database.writer() as session:
            for report in states:
                if _is_outdated(session, report):
                    LOG.info("server %s: a report of its power on host %s is older than what was done since", report.server_id, host)
                    continue
                followed = servers.sync_power(
                    session, report.server_id, power_state=report.state, vm_state=vm_state_of(report.state))
                if followed:
                    LOG.info("server %s: changed on host %s to power state %s", report.server_id, host, report.state)


def _is_outdated(session: Session, report: PowerState) -> bool:
    """Whether a worker has carried out a later action on the server than the report knows, and the row shows its outcome."""
    if report.order is None:
        return False
    later = sa.exists().where(
        Action.resource_id == report.server_id, Action.id > report.order.action, Action.epoch >= report.order.epoch,
        Action.state == DONE, Action.step.is_not(None))
    return session.scalar(sa.select(later)) is True


class Heartbeats:
    """Endpoint: heartbeats of daemons. They are collected and written in one transaction a second, however many daemons.

    The first report of a daemon is written at once: nothing can be placed on a host before.
    """

    def __init__(self, services: Services, *, flush_s: float = 1.0, started: Callable[[str, str], None] = lambda binary, agent: None,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        """`started(binary, agent)` is called when a worker has begun, or is heard of after a silence."""
        self._services, self._started, self._monotonic = services, started, monotonic
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], ServiceReport] = {}
        self._heard_at: dict[tuple[str, str], float] = {}
        self._known: dict[tuple[str, str], tuple[datetime.datetime, ServiceReport]] = {}
        self._wake = threading.Event()
        self._no_delay = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeats", daemon=True)

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        key = (status.binary, status.agent)
        with self._lock:
            now = self._monotonic()
            silent_s = now - self._heard_at.get(key, float("-inf"))
            self._heard_at[key] = now
            self._waiting[key] = status
        if (status.is_first or silent_s > self._services.conf.service_down_time) and status.binary in service_reports.WORKERS and not status.trouble:
            self._started(status.binary, status.agent)
        if key not in self._known:
            self._no_delay.set()
            if service_reports.is_outdated(status):
                LOG.warning("%s on %s: %s. Its hosts get no new servers, and actions on those that it has wait", *key, hosts.OUTDATED)
        self._wake.set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._no_delay.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            self._no_delay.clear()
            try:
                self.flush()
            except Exception:  # the next beat brings all of it again
                LOG.exception("heartbeats could not be written")
            self._no_delay.wait(self._flush_s)

    def flush(self) -> None:
        """Write what has come in."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        news = {key for key, status in waiting.items() if not self._is_known(key, status)}
        with self._services.database.writer() as session:
            # A conductor that hears of conductors alone may be cut off from the others, as by a clock that is wrong.
            if any(binary != _CONDUCTOR for binary, _ in waiting):
                observation.note(session, gap_s=2 * self._services.conf.report_interval)
            for key, status in waiting.items():
                self._write(session, status, is_known=key not in news)
            moved = [key for key in news if _addresses(waiting[key]) != _addresses(self._known.get(key, (None, None))[1])]
            if moved:
                network_changes.record(session, network_changes.Kind.ADDRESSES, ["cloud"])
        self._known.update({key: (self._services.now(), waiting[key]) for key in news})
        if moved:
            self._services.network_changed()

    def _is_known(self, key: tuple[str, str], status: ServiceReport) -> bool:
        """Whether the hosts' rows need no writing: nothing but the uptime has changed, and that is shown to the minute."""
        at, before = self._known.get(key, (None, None))
        return (at is not None and before is not None and status.trouble == before.trouble and _facts(before) == _facts(status)
                and before.pools == status.pools
                and (self._services.now() - at).total_seconds() < _UPTIME_S)

    def _write(self, session: Session, status: ServiceReport, *, is_known: bool) -> None:
        if service_reports.beat(session, status) and (is_known or status.trouble):
            return
        names = [inventory.host for inventory in status.inventories] or [status.agent]
        service_reports.register(session, status, names=names, now=clock.read(session))


def _addresses(status: ServiceReport | None) -> set[tuple[str, str | None]]:
    return {(inventory.host_ip, inventory.tunnel_ip) for inventory in status.inventories} if status is not None else set()


def _facts(status: ServiceReport) -> list[Inventory]:
    return [dataclasses.replace(inventory, uptime="") for inventory in status.inventories]
