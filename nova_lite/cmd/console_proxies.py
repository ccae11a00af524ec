# SPDX-License-Identifier: Apache-2.0
"""nova-novncproxy and nova-serialproxy: the daemons; and both within `nova-lite up`."""

from __future__ import annotations

import socket
import sys

from oslo_config import cfg
from oslo_log import log as logging

from nova_lite.cmd import daemon
from nova_lite.console import proxy
from nova_lite.console.proxy import ConsoleProxy, Make
from nova_lite.db.engine import Database, open_database

LOG = logging.getLogger(__name__)


def novncproxy() -> None:
    """Run until asked to end."""
    _run("nova-novncproxy", proxy.novnc, ("vnc", "novncproxy_host", "novncproxy_port"))


def serialproxy() -> None:
    """Run until asked to end."""
    _run("nova-serialproxy", proxy.serial, ("serial_console", "serialproxy_host", "serialproxy_port"))


def within(conf: cfg.ConfigOpts, database: Database) -> list[ConsoleProxy]:
    """The proxies that are enabled, listening; where the default port is taken, on a free one: URLs follow it."""
    made = []
    if conf.vnc.enabled:
        made.append(proxy.novnc(conf, database, _listen_somewhere(conf, "vnc", "novncproxy_host", "novncproxy_port")))
    if conf.serial_console.enabled:
        made.append(proxy.serial(
            conf, database, _listen_somewhere(conf, "serial_console", "serialproxy_host", "serialproxy_port")))
    return made


def _listen_somewhere(conf: cfg.ConfigOpts, group: str, host: str, port: str) -> socket.socket:
    section = conf[group]
    try:
        return socket.create_server((section[host], section[port]))
    except OSError:
        listener = socket.create_server((section[host], 0))
        found = listener.getsockname()[1]
        LOG.warning("[%s] %s %s is taken: consoles are on %s", group, port, section[port], found)
        conf.set_override(port, found, group=group)
        return listener


def _run(name: str, make: Make, where: tuple[str, str, str]) -> None:
    group, host, port = where
    conf = daemon.configure(sys.argv[1:])
    section = conf[group]
    try:
        listener = socket.create_server((section[host], section[port]))
    except OSError as taken:
        sys.exit(f"{name}: cannot listen on {section[host]}:{section[port]}: {taken.strerror}; set [{group}] {host} and {port}")
    service = make(conf, open_database(conf), listener)
    service.start()
    LOG.info("%s is up on %s:%s", name, section[host], section[port])
    daemon.wait_for_signal()
    daemon.leave()
