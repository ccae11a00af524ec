# SPDX-License-Identifier: Apache-2.0
"""A consumer of versioned notifications, on whatever bus it is given."""

from __future__ import annotations

import queue
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg

from nova_lite.notifications import emitter

Heard = tuple[str, str, dict[str, Any]]  # priority, event type, payload


def configure(conf: cfg.ConfigOpts, url: str) -> None:
    """Notifications are on, over the bus at `url`."""
    emitter.register(conf)
    conf.set_override("notification_format", "versioned", group="notifications")
    conf.set_override("driver", ["messagingv2"], group="oslo_messaging_notifications")
    conf.set_override("transport_url", url, group="oslo_messaging_notifications")


class Consumer:
    """A listener of oslo.messaging on the topic."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.heard: queue.Queue[Heard] = queue.Queue()
        self._transport = messaging.get_notification_transport(conf)
        conf.register_opts(messaging.server._pool_opts)
        conf.set_override("executor_thread_pool_size", 1)  # in the order in which they come
        self._listener = messaging.get_notification_listener(
            self._transport, [messaging.Target(topic=topic) for topic in ("versioned_notifications", "notifications")], [self], executor="threading")
        self._listener.start()

    def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        self.heard.put(("INFO", event_type, payload))

    def error(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        self.heard.put(("ERROR", event_type, payload))

    def take(self, count: int) -> list[Heard]:
        """The next notifications, in the order in which they came."""
        return [self.heard.get(timeout=20) for _ in range(count)]

    def stop(self) -> None:
        self._listener.stop()
        self._listener.wait()
        self._transport.cleanup()
