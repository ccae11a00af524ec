# SPDX-License-Identifier: Apache-2.0
"""The message bus as configured: RabbitMQ between daemons, memory within one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import oslo_messaging as messaging
from kombu.transport import pyamqp
from oslo_config import cfg
from oslo_messaging._drivers import amqpdriver, impl_rabbit
from oslo_messaging._metrics import client as metrics
from oslo_messaging._tracing import client as tracing

from nova_lite.rpc import signing

_RABBIT = "oslo_messaging_rabbit"
# Replicated and on disk, so that a broker's end loses no waiting cast. Changing these later needs a new virtual
# host: a client that meets a queue declared otherwise never gets its answers.
_QUEUES = {"rabbit_quorum_queue": True, "rabbit_transient_quorum_queue": True}
# By default the wait between two tries to connect grows to 30 s, and the broker's return is noticed that late.
_RECONNECT = {"rabbit_interval_max": 2}
# oslo.messaging 18.3 wakes each reader of a queue 1, 2, 4, 8 … ms after a message, in case some thread has one to
# acknowledge: five exceptions through three libraries for nothing. Its readers of requests and answers acknowledge
# each message as they take it; only notifications, which nobody here reads, wait for that waking.
_ACKNOWLEDGED_WITHIN_S = 0.1
# How long the broker may take to answer one method of AMQP: a declaration, a subscription, the receipt of a message. Beyond
# it the connection is made anew. amqp 5.3 waits for ever, and a broker that answers heartbeats and nothing else is not noticed.
_ANSWERED_WITHIN_S = 30.0


class _Channel(pyamqp.Channel):
    """Waits for the broker, but not for ever."""

    def wait(self, method: Any, callback: Any = None, timeout: float | None = None, returns_tuple: Any = False) -> Any:  # noqa: FBT002 - amqp's signature
        """As amqp's. :raises TimeoutError: no answer in time; kombu then connects anew."""
        return super().wait(method, callback, timeout or _ANSWERED_WITHIN_S, returns_tuple)


class _Connection(impl_rabbit.Connection):  # type: ignore[misc]  # oslo.messaging has no types
    """Takes the answers to this process's calls from a classic queue (decision 6)."""

    def declare_direct_consumer(self, topic: str, callback: Callable[..., None]) -> None:
        """As oslo.messaging's, but for the kind of the queue; `topic` is the queue's name, this process's own."""
        for_fanout: bool = self.rabbit_transient_quorum_queue  # type: ignore[has-type]
        self.rabbit_transient_quorum_queue = False
        try:
            super().declare_direct_consumer(topic, callback)
        finally:
            self.rabbit_transient_quorum_queue = for_fanout


def connect(conf: cfg.ConfigOpts) -> messaging.transport.RPCTransport:
    """The transport of `transport_url`. Remote errors of `nova_lite.errors` come back as themselves.

    :raises OSError: `[rpc] secret_file` cannot be read. :raises errors.WrongKeyFile: it has no key for this host.
    """
    # oslo.messaging 18.3 registers these on the global cfg.CONF only, but reads them from ours on each call.
    conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(impl_rabbit.rabbit_opts, group=_RABBIT)
    amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MIN = _ACKNOWLEDGED_WITHIN_S
    pyamqp.Connection.Channel = _Channel
    impl_rabbit.Connection = _Connection
    for name, value in (_QUEUES | _RECONNECT).items():  # before the transport: afterwards it would be half applied
        conf.set_default(name, value, group=_RABBIT)
    bus = messaging.get_rpc_transport(conf, allowed_remote_exmods=["nova_lite.errors"])
    signing.attach(bus, signing.load(conf))
    return bus
