# SPDX-License-Identifier: Apache-2.0
"""nova-volume: the daemon."""

from __future__ import annotations

import sys

from nova_lite.cmd import daemon
from nova_lite.volume.service import VolumeService


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-volume", "Keep the volumes of this host's pools, and make them reachable for guests.", sys.argv[1:], VolumeService)
