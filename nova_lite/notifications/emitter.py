# SPDX-License-Identifier: Apache-2.0
"""Sends notifications about actions after their commit, in a thread of its own."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Sequence
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging
from oslo_messaging.notify import notifier as oslo_notifier
from sqlalchemy.orm import Session

from nova_lite.db.changes import Change, Phase
from nova_lite.db.compute import keypairs, servers
from nova_lite.db.compute.actions import SERVER, Action
from nova_lite.db.engine import Database
from nova_lite.db.network import ports
from nova_lite.notifications import volumes
from nova_lite.notifications.names import kind_of
from nova_lite.notifications.payloads import payload

LOG = logging.getLogger(__name__)
MAX_QUEUED = 10_000  # while the broker cannot be reached; further notifications are dropped and logged


@dataclasses.dataclass(frozen=True)
class Notification:
    """One message. `publisher`: of Cinder's, None: it is one of Nova's, versioned."""

    context: dict[str, Any]
    event: str
    content: dict[str, Any]
    phase: Phase
    publisher: str | None = None




class Emitter:
    """A listener of the database's changes. Its own thread sends, so neither requests nor workflows wait for the broker."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, *, binary: str) -> None:
        self._database = database
        self._transport = messaging.get_notification_transport(conf)
        self._notifier = messaging.Notifier(
            self._transport, publisher_id=f"{binary}:{conf.host}",
            topics=list(conf.notifications.versioned_notifications_topics))
        self._unversioned = messaging.Notifier(self._transport, topics=list(conf.oslo_messaging_notifications.topics))
        self._queue: queue.Queue[Notification | None] = queue.Queue(MAX_QUEUED)
        self._thread = threading.Thread(target=self._send_all, name="notifications", daemon=True)
        self._lock = threading.Lock()

    def __call__(self, changes: Sequence[Change]) -> None:
        """Queue notifications about the changes; errors are only logged, since the changes are committed."""
        self._start_once()
        for change in changes:
            try:
                for notification in self._notifications(change):
                    self._queue.put_nowait(notification)
            except queue.Full:
                LOG.error("action %s: notification dropped, %d are queued for the broker", change.action_id, MAX_QUEUED)
            except Exception:  # the transaction is committed: its caller must not fail
                LOG.exception("action %s: notification failed", change.action_id)

    def stop(self, *, within_s: float = 5.0) -> None:
        """Send the queued notifications, and end the thread."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(within_s)
        self._transport.cleanup()

    def _start_once(self) -> None:
        # Not in the constructor: nova-api forks its workers after that.
        with self._lock:
            if not self._thread.ident:
                self._thread.start()

    def _notifications(self, change: Change) -> list[Notification]:
        with self._database.reader() as session:
            action = session.get(Action, change.action_id)
            if action is None:
                return []
            found = [_of_server(session, action, change.phase), _of_volume(session, action, change.phase)]
            return [notification for notification in found if notification is not None]

    def _send_all(self) -> None:
        while (notification := self._queue.get()) is not None:
            try:
                self._send(notification)
            except Exception:  # the next one may succeed
                LOG.exception("notification %s was not sent", notification.event)

    def _send(self, one: Notification) -> None:
        notifier = self._notifier if one.publisher is None else self._unversioned.prepare(publisher_id=one.publisher)
        (notifier.error if one.phase == Phase.ERROR else notifier.info)(one.context, one.event, one.content)


def _of_server(session: Session, action: Action, phase: Phase) -> Notification | None:
    kind = kind_of(action.name) if action.resource_type == SERVER else None
    if kind is None:
        return None
    server = servers.get_any(session, action.resource_id)
    server_ports = ports.of_servers(session, [server.id])[server.id]
    error = (action.message or "") if phase == Phase.ERROR else None
    keypair = None
    if kind.event == "create" and server.key_name:  # only this payload has it
        keypair = keypairs.get_or_none(session, user_id=server.user_id, name=server.key_name)
    content = payload(kind, server, action, server_ports, keypair=keypair, error=error)
    return Notification(_context(action), ".".join(filter(None, ("instance", kind.event, phase))), content, phase)


def _of_volume(session: Session, action: Action, phase: Phase) -> Notification | None:
    found = volumes.notice(session, action)
    if found is None:
        return None
    content = found.content if phase != Phase.ERROR else {**found.content, "reason": action.message or ""}
    return Notification(_context(action), ".".join(filter(None, (found.event, phase))), content, phase, publisher=f"volume.{found.host.partition('#')[0] or 'unscheduled'}")


def _context(action: Action) -> dict[str, Any]:
    return {"request_id": action.request_id, "user_id": action.user_id, "project_id": action.project_id}


def attach(conf: cfg.ConfigOpts, database: Database, *, binary: str) -> Emitter | None:
    """Send notifications about this process's commits, if they are configured; None: they are not."""
    register(conf)
    is_enabled = conf.notifications.notification_format in ("versioned", "both")
    if not is_enabled or not set(conf.oslo_messaging_notifications.driver) - {"noop"}:
        return None
    emitter = Emitter(conf, database, binary=binary)
    database.listeners.append(emitter)
    return emitter


def register(conf: cfg.ConfigOpts) -> None:
    """Register [oslo_messaging_notifications], which oslo.messaging does only on first use."""
    conf.register_opts(oslo_notifier._notifier_opts, group="oslo_messaging_notifications")
