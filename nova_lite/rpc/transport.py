# SPDX-License-Identifier: Apache-2.0
"""The message bus as configured: RabbitMQ between daemons, memory within one process."""

from __future__ import annotations

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_messaging._metrics import client as metrics
from oslo_messaging._tracing import client as tracing


def connect(conf: cfg.ConfigOpts) -> messaging.RPCTransport:
    """The transport of `transport_url`. Remote errors of `nova_lite.errors` come back as themselves."""
    # oslo.messaging 18.3 registers these on the global cfg.CONF only, but reads them from ours on each call.
    conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    return messaging.get_rpc_transport(conf, allowed_remote_exmods=["nova_lite.errors"])
