# SPDX-License-Identifier: Apache-2.0
"""nova-compute: the daemon."""

from __future__ import annotations

import sys

from nova_lite.cmd import daemon
from nova_lite.compute.service import ComputeService


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-compute", "Run the guests of this host by libvirt.", sys.argv[1:], ComputeService)
