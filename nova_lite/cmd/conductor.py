# SPDX-License-Identifier: Apache-2.0
"""nova-conductor: the daemon."""

from __future__ import annotations

import sys

import oslo_messaging as messaging
from oslo_config import cfg

from nova_lite.cmd import daemon
from nova_lite.conductor.service import ConductorService
from nova_lite.db import migrate
from nova_lite.notifications import emitter


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-conductor", "Run the workflows of servers and the reconcilers.", sys.argv[1:], Conductor)


class Conductor(ConductorService):
    """The service with its own database connections, and notifications of what it commits if they are enabled."""

    def __init__(self, conf: cfg.ConfigOpts, bus: messaging.transport.RPCTransport) -> None:
        database = migrate.open_upgraded(conf)
        self._emitter = emitter.attach(conf, database, binary="nova-conductor")
        super().__init__(conf, bus, database)

    def stop(self) -> None:
        """Finish the work in progress, then send the notifications that are queued."""
        super().stop()
        if self._emitter is not None:
            self._emitter.stop()
