# SPDX-License-Identifier: Apache-2.0
"""nova-conductor: the daemon."""

from __future__ import annotations

import sys

from nova_lite.cmd import daemon
from nova_lite.conductor.service import ConductorService
from nova_lite.db.engine import open_database


def main() -> None:
    """Run until asked to end."""
    daemon.run("nova-conductor", sys.argv[1:], lambda conf, bus: ConductorService(conf, bus, open_database(conf)))
