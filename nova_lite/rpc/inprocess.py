# SPDX-License-Identifier: Apache-2.0
"""An oslo.messaging driver within one process: messages are handed over by events, so an idle cloud costs nothing.

oslo.messaging's own ways poll: `fake://` sleeps 50 ms between looks, `kombu+memory://` looks without a pause.
docs/decisions/0008 has the numbers.
"""

from __future__ import annotations

import collections
import itertools
import json
import queue
import threading
from concurrent import futures
from typing import Any

import oslo_messaging as messaging
from oslo_messaging._drivers import base

Answer = futures.Future[Any]


class Incoming(base.RpcIncomingMessage):  # type: ignore[misc]
    """One message at its receiver; `answer` is what a caller waits on, None for a cast."""

    def __init__(self, ctxt: dict[str, Any], message: dict[str, Any], answer: Answer | None) -> None:
        super().__init__(ctxt, message)
        self._answer = answer

    def reply(self, reply: Any = None, failure: Any = None) -> None:  # oslo.messaging's types
        """Wake the caller; `failure` is an exc_info."""
        if self._answer is None or self._answer.done():
            return
        if failure is None:
            self._answer.set_result(reply)
        else:
            self._answer.set_exception(failure[1])

    def acknowledge(self) -> None:
        """Nothing is kept that would be sent again."""

    def requeue(self) -> None:
        """Not offered: see `require_features`."""

    def heartbeat(self) -> None:
        """The receiver cannot die without the caller."""


class Listener(base.PollStyleListener):  # type: ignore[misc]
    """One server's mailbox, for its own name and its topic's."""

    def __init__(self, exchange: Exchange, target: messaging.Target) -> None:
        super().__init__()
        self._exchange, self._target = exchange, target
        self._mailbox: queue.SimpleQueue[Incoming | None] = queue.SimpleQueue()
        self._is_stopped = False
        exchange.join(target, self._mailbox)

    @base.batch_poll_helper  # type: ignore[untyped-decorator]
    def poll(self, timeout: float | None = None) -> Incoming | None:
        """The next message; None after `timeout` seconds or when stopped."""
        try:
            # Once stopped, only what has come in already is still handed out.
            return self._mailbox.get_nowait() if self._is_stopped else self._mailbox.get(timeout=timeout)
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Take no more; a waiting `poll` returns."""
        self._is_stopped = True
        self._exchange.leave(self._target, self._mailbox)
        self._mailbox.put(None)


class Exchange:
    """Who listens to what; messages that nobody listens to yet wait here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: dict[str, list[queue.SimpleQueue[Incoming | None]]] = collections.defaultdict(list)
        self._waiting: dict[str, list[Incoming]] = collections.defaultdict(list)
        self._turn = itertools.count()

    def join(self, target: messaging.Target, mailbox: queue.SimpleQueue[Incoming | None]) -> None:
        with self._lock:
            for name in _names(target):
                self._mailboxes[name].append(mailbox)
                for message in self._waiting.pop(name, []):
                    mailbox.put(message)

    def leave(self, target: messaging.Target, mailbox: queue.SimpleQueue[Incoming | None]) -> None:
        with self._lock:
            for name in _names(target):
                if mailbox in self._mailboxes[name]:
                    self._mailboxes[name].remove(mailbox)

    def deliver(self, target: messaging.Target, message: Incoming) -> None:
        """To all servers of the topic (fanout), or to one of those that listen, in turn."""
        name = f"{target.topic}.{target.server}" if target.server else str(target.topic)
        with self._lock:
            listening = self._mailboxes[name]
            if target.fanout:
                for mailbox in listening:
                    mailbox.put(message)
            elif listening:
                listening[next(self._turn) % len(listening)].put(message)
            else:
                self._waiting[name].append(message)


def _names(target: messaging.Target) -> tuple[str, str]:
    return str(target.topic), f"{target.topic}.{target.server}"


_exchanges: dict[str, Exchange] = collections.defaultdict(Exchange)


class InProcessDriver(base.BaseDriver):  # type: ignore[misc]
    """`inprocess://NAME`: transports of one name reach each other within the process."""

    def __init__(self, conf: Any, url: Any, default_exchange: Any = None, allowed_remote_exmods: Any = None) -> None:
        super().__init__(conf, url, default_exchange, allowed_remote_exmods)
        self._exchange = _exchanges[url.virtual_host or ""]

    def require_features(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - oslo.messaging's signature
        """:raises NotImplementedError: `requeue` is requested."""
        super().require_features(requeue=requeue)

    def send(  # noqa: PLR0913 - oslo.messaging's signature
        self, target: messaging.Target, ctxt: dict[str, Any], message: dict[str, Any], wait_for_reply: bool | None = None,  # noqa: FBT001
        timeout: float | None = None, call_monitor_timeout: float | None = None, retry: int | None = None,
        transport_options: Any = None,
    ) -> Any:
        """Deliver, and with `wait_for_reply` wait up to `timeout` seconds.

        :raises messaging.MessagingTimeout: no answer in time.
        """
        answer: Answer | None = futures.Future() if wait_for_reply else None
        # Through JSON as on a real bus: nothing mutable is shared, and what cannot travel is noticed here too.
        self._exchange.deliver(target, Incoming(json.loads(json.dumps(ctxt)), json.loads(json.dumps(message)), answer))
        if answer is None:
            return None
        try:
            return answer.result(timeout)
        except futures.TimeoutError:
            if answer.done():
                raise
            raise messaging.MessagingTimeout(f"no reply on topic {target.topic}") from None

    def send_notification(self, target: Any, ctxt: Any, message: Any, version: Any, retry: Any = None) -> None:
        """Notifications have no listener within the process; they are dropped."""

    def listen(self, target: messaging.Target, batch_size: int, batch_timeout: float | None) -> base.Listener:
        """A listener for one server."""
        return base.PollStyleListenerAdapter(Listener(self._exchange, target), batch_size, batch_timeout)

    def listen_for_notifications(self, targets_and_priorities: Any, pool: Any, batch_size: Any, batch_timeout: Any) -> Any:
        """:raises NotImplementedError: always."""
        raise NotImplementedError("notifications need a broker")

    def cleanup(self) -> None:
        """Nothing is held."""

