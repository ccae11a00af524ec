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
from nova_lite.db import migrate
from nova_lite.db.engine import Database
from nova_lite.runtime import concurrency

LOG = logging.getLogger(__name__)


def novncproxy() -> None:
    """Run until SIGTERM or SIGINT."""
    _run("nova-novncproxy", "Serve noVNC and VNC consoles of guests to browsers.", proxy.novnc, ("vnc", "novncproxy_host", "novncproxy_port"))


def serialproxy() -> None:
    """Run until SIGTERM or SIGINT."""
    _run("nova-serialproxy", "Serve serial consoles of guests by websocket.", proxy.serial, ("serial_console", "serialproxy_host", "serialproxy_port"))


def within(conf: cfg.ConfigOpts, database: Database) -> list[ConsoleProxy]:
    """The enabled proxies, listening; on a free port where the configured one is taken, which console URLs then have."""
    proxies = []
    if conf.vnc.enabled:
        proxies.append(proxy.novnc(conf, database, _listen(conf, "vnc", "novncproxy_host", "novncproxy_port")))
    if conf.serial_console.enabled:
        proxies.append(proxy.serial(
            conf, database, _listen(conf, "serial_console", "serialproxy_host", "serialproxy_port")))
    return proxies


def _listen(conf: cfg.ConfigOpts, group: str, host: str, port: str) -> socket.socket:
    section = conf[group]
    try:
        return concurrency.listen(section[host], section[port])
    except OSError:
        listener = concurrency.listen(section[host], 0)
        free = listener.getsockname()[1]
        LOG.warning("[%s] %s %s is taken: consoles are on %s", group, port, section[port], free)
        conf.set_override(port, free, group=group)
        return listener


def _run(name: str, summary: str, make: Make, address: tuple[str, str, str]) -> None:
    group, host, port = address
    conf = daemon.configure(name, summary, sys.argv[1:])
    section = conf[group]
    with daemon.starting(name):
        try:
            listener = concurrency.listen(section[host], section[port])
        except OSError as error:
            raise OSError(f"cannot listen on {concurrency.at(section[host], section[port])}: {error.strerror}; set [{group}] {host} and {port}") from error
        service = make(conf, migrate.open_upgraded(conf), listener)
        service.start()
    LOG.info("%s is up on %s", name, concurrency.at(section[host], section[port]))
    daemon.wait_for_signal()
    daemon.leave()
