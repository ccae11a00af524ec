# SPDX-License-Identifier: Apache-2.0
"""nova-network: the daemon, and the metadata application that it serves to guests."""

from __future__ import annotations

import sys

import oslo_messaging as messaging
import paste.deploy
from oslo_config import cfg

from nova_lite.api.deploy import paste_file
from nova_lite.cmd import daemon
from nova_lite.network.service import NetworkService


def make(conf: cfg.ConfigOpts, bus: messaging.transport.RPCTransport) -> NetworkService:
    """The worker, with the metadata application of the paste file."""
    metadata = paste.deploy.loadapp(f"config:{paste_file(conf)}", name="metadata")
    return NetworkService(conf, bus, metadata_app_factory=metadata)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    daemon.run("nova-network", "Run the networks of this host: bridges, DHCP, metadata, NAT and security groups.", sys.argv[1:], make)
