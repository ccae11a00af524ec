# SPDX-License-Identifier: Apache-2.0
"""The message bus as configured: RabbitMQ between daemons, memory within one process."""

from __future__ import annotations

import oslo_messaging as messaging
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


def connect(conf: cfg.ConfigOpts) -> messaging.transport.RPCTransport:
    """The transport of `transport_url`. Remote errors of `nova_lite.errors` come back as themselves.

    :raises OSError: `[rpc] secret_file` cannot be read. :raises errors.WrongKeyFile: it has no key for this host.
    """
    # oslo.messaging 18.3 registers these on the global cfg.CONF only, but reads them from ours on each call.
    conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(impl_rabbit.rabbit_opts, group=_RABBIT)
    amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MIN = _ACKNOWLEDGED_WITHIN_S
    for name, value in (_QUEUES | _RECONNECT).items():  # before the transport: afterwards it would be half applied
        conf.set_default(name, value, group=_RABBIT)
    bus = messaging.get_rpc_transport(conf, allowed_remote_exmods=["nova_lite.errors"])
    signing.attach(bus, signing.load(conf))
    return bus
