# SPDX-License-Identifier: Apache-2.0
"""nova-scheduler: the daemon."""

from __future__ import annotations

import sys

from nova_lite.cmd import daemon
from nova_lite.db import migrate
from nova_lite.scheduler.service import SchedulerService


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-scheduler", "Choose hosts for servers.", sys.argv[1:],
               lambda conf, bus: SchedulerService(conf, bus, migrate.open_upgraded(conf)))
