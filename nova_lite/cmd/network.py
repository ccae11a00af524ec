# SPDX-License-Identifier: Apache-2.0
"""nova-network: the daemon."""

from __future__ import annotations

import sys

from nova_lite.cmd import daemon
from nova_lite.network.service import NetworkService


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-network", "Run the networks of this host: bridges, DHCP, metadata, NAT and security groups.", sys.argv[1:], NetworkService)
