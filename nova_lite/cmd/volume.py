# SPDX-License-Identifier: Apache-2.0
"""nova-volume: the daemon."""

from __future__ import annotations

import sys

from nova_lite.cmd import daemon
from nova_lite.volume.service import VolumeService


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-volume", "Serve volumes (not implemented yet: it only reports that it is up).", sys.argv[1:], VolumeService)
