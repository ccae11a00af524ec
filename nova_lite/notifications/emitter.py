# SPDX-License-Identifier: Apache-2.0
"""Tells the message bus what became of actions, after it is committed and off the path of whoever did it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging
from oslo_messaging.notify import notifier as oslo_notifier

from nova_lite.db.changes import Change, Phase
from nova_lite.db.compute import keypairs, servers
from nova_lite.db.compute.actions import Action
from nova_lite.db.engine import Database
from nova_lite.db.network import ports
from nova_lite.notifications.names import kind_of
from nova_lite.notifications.payloads import payload

LOG = logging.getLogger(__name__)
MOST_WAITING = 10_000  # notifications while the broker is away; later ones are dropped and counted
Told = tuple[dict[str, Any], str, dict[str, Any], Phase]  # context, event type, payload


class Emitter:
    """A listener of the database's changes. Its own thread sends: neither requests nor workflows wait for a broker."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, *, binary: str) -> None:
        self._database = database
        self._transport = messaging.get_notification_transport(conf)
        self._notifier = messaging.Notifier(
            self._transport, publisher_id=f"{binary}:{conf.host}",
            topics=list(conf.notifications.versioned_notifications_topics))
        self._waiting: queue.Queue[Told | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._send_all, name="notifications", daemon=True)
        self._lock = threading.Lock()

    def __call__(self, changes: Sequence[Change]) -> None:
        """Tell of these; whatever goes wrong is logged, since what they tell of is done."""
        self._start_once()
        for change in changes:
            try:
                told = self._told(change)
                if told is not None:
                    self._waiting.put_nowait(told)
            except queue.Full:
                LOG.error("a notification about action %s is dropped: the broker takes none", change.action_id)
            except Exception:  # noqa: BLE001 - the transaction is committed: its caller must not suffer
                LOG.exception("nobody is notified about action %s", change.action_id)

    def stop(self, *, within_s: float = 5.0) -> None:
        """Send what waits, and end."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(within_s)
        self._transport.cleanup()

    def _start_once(self) -> None:
        # Not in the constructor: nova-api's workers are forked after their parts are imported.
        with self._lock:
            if not self._thread.ident:
                self._thread.start()

    def _told(self, change: Change) -> Told | None:
        with self._database.reader() as session:
            action = session.get(Action, change.action_id)
            kind = kind_of(action.name) if action is not None else None
            if action is None or kind is None:
                return None
            server = servers.get_any(session, action.server_id)
            plugs = ports.of_servers(session, [server.id])[server.id]
            error = (action.message or "") if change.phase == Phase.ERROR else None
            keypair = None
            if kind.event == "create" and server.key_name:  # no other payload has it
                keypair = keypairs.known(session, user_id=server.user_id, name=server.key_name)
            said = payload(kind, server, action, plugs, keypair=keypair, error=error)
        event = ".".join(filter(None, ("instance", kind.event, change.phase)))
        asker = {"request_id": action.request_id, "user_id": action.user_id, "project_id": action.project_id}
        return asker, event, said, change.phase

    def _send_all(self) -> None:
        while (told := self._waiting.get()) is not None:
            asker, event, said, phase = told
            try:
                (self._notifier.error if phase == Phase.ERROR else self._notifier.info)(asker, event, said)
            except Exception:  # noqa: BLE001 - the next one may pass
                LOG.exception("notification %s was not sent", event)


def attach(conf: cfg.ConfigOpts, database: Database, *, binary: str) -> Emitter | None:
    """Notify of what this process commits, if it is configured; None: it is not, and costs nothing."""
    register(conf)
    is_wanted = conf.notifications.notification_format in ("versioned", "both")
    if not is_wanted or not set(conf.oslo_messaging_notifications.driver) - {"noop"}:
        return None
    emitter = Emitter(conf, database, binary=binary)
    database.listeners.append(emitter)
    return emitter


def register(conf: cfg.ConfigOpts) -> None:
    """Register [oslo_messaging_notifications], which oslo.messaging does only once it is used."""
    conf.register_opts(oslo_notifier._notifier_opts, group="oslo_messaging_notifications")  # noqa: SLF001
