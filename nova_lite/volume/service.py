# SPDX-License-Identifier: Apache-2.0
"""nova-volume: reports that it lives; it has no volumes to make yet, and no volume API offers any."""

from __future__ import annotations

import oslo_messaging as messaging
from oslo_config import cfg

from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat


class VolumeService:
    """One nova-volume."""

    def __init__(self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport) -> None:
        status = ServiceReport(binary="nova-volume", agent=conf.host)
        self._heartbeat = Heartbeat(ConductorRpc.client(transport), lambda: status, interval_s=conf.report_interval)

    def start(self) -> None:
        """Report; returns at once."""
        self._heartbeat.start()

    def stop(self) -> None:
        """Report no more."""
        self._heartbeat.stop()
