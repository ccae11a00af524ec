# SPDX-License-Identifier: Apache-2.0
"""`nova-lite up`: every service in one process on embedded defaults."""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg, types
from oslo_log import log as logging

from nova_lite.api import deploy
from nova_lite.api.image.cleanup import store_cleaner
from nova_lite.api.wsgi.admission import http_server
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.cmd import console_proxies, daemon, pid_file, settings
from nova_lite.cmd.lite import cloud_file, db
from nova_lite.cmd.terminal import printable
from nova_lite.compute.service import ComputeService
from nova_lite.conductor.service import ConductorService
from nova_lite.db import migrate
from nova_lite.db.base import utcnow
from nova_lite.db.engine import Database, open_database
from nova_lite.db.hosts import hosts
from nova_lite.network.service import NetworkService
from nova_lite.notifications import emitter
from nova_lite.runtime import addresses, concurrency
from nova_lite.scheduler.service import SchedulerService
from nova_lite.volume.service import VolumeService

LOG = logging.getLogger(__name__)
READY_S = 120.0
_FIRST_REPORT_S = 10.0
_POLL_S = 0.05


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "up", run, summary="start the whole cloud in one process",
        examples=["nova-lite up --background", "nova-lite up --fake --hosts 100 --state /tmp/cloud --port 8775"],
        statuses=(
            "0  stopped by SIGTERM or SIGINT; with --background: the API answers, and a compute host has reported or 10 s have passed",
            "1  it could not start (the port is taken, the database does not answer, …), and stderr or the log says why"))
    parser.add_argument("--port", type=settings.argument(types.Port(min=1)), help="port of the API (default: 8774)")
    parser.add_argument(
        "--listen", type=settings.argument(types.HostAddress()), metavar="ADDRESS", help="address of the API and the console proxies (default: 127.0.0.1)")
    parser.add_argument("--fake", action="store_true", help="simulated guests, networks and volumes: no root, no libvirt, ready in seconds")
    parser.add_argument(
        "--hosts", type=settings.argument(types.Integer(min=1)), default=1, metavar="N", help="with --fake: number of simulated hosts (default: 1)")
    parser.add_argument("--background", action="store_true",
                        help="return when the cloud is ready; its log and pid file are in the state directory")


def run(arguments: argparse.Namespace) -> int:
    """Start, print how clients find the cloud, and run until SIGTERM or SIGINT."""
    conf = configure(arguments)
    if arguments.background:
        return _start_in_background(conf)
    daemon.set_up(conf)
    with cloud(conf) as url:
        print(f"nova_lite is up at {url}\n{cloud_file.client_commands(conf)}", flush=True)
        daemon.wait_for_signal()
    daemon.leave()
    return 0


def configure(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """The all-in-one configuration: the command line, else nova.conf, else defaults."""
    conf = settings.load(arguments)
    _overlay(conf, arguments)
    return conf


def _overlay(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> None:
    if arguments.port:
        conf.set_override("port", arguments.port, group="api")
    if arguments.listen:
        conf.set_override("listen", arguments.listen, group="api")
        conf.set_override("novncproxy_host", arguments.listen, group="vnc")
        conf.set_override("serialproxy_host", arguments.listen, group="serial_console")
    if arguments.fake:
        conf.set_override("driver", "fake", group="compute")
        conf.set_override("fake_hosts", arguments.hosts, group="compute")
        conf.set_override("driver", "fake", group="network")
        for backend in conf.enabled_backends:
            conf.set_override("volume_driver", "fake", group=backend)
    embed(conf)


def embed(conf: cfg.ConfigOpts) -> None:
    """Keep messages in the process, whatever nova.conf has as transport_url; clients reach the API where it listens.

    On all addresses: links and catalog name the one that a request came to.
    """
    transport_url(conf)
    if not conf.api.public_url and not addresses.is_every_address(conf.api.listen):
        conf.set_override("public_url", addresses.api_url(conf), group="api")


def transport_url(conf: cfg.ConfigOpts) -> None:
    """Deliver messages within the process: docs/decisions/0008."""
    messaging.set_transport_defaults("nova")
    conf.register_opts(messaging.transport._transport_opts)  # registered only by get_rpc_transport
    conf.set_override("transport_url", "inprocess://")


@contextlib.contextmanager
def cloud(conf: cfg.ConfigOpts) -> Iterator[str]:
    """Start all services; yields the API's URL when it answers and a compute host has reported.

    :raises OSError: the port is taken, or the address is not this machine's.
    :raises errors.WrongPasteFile: the paste file is of another release.
    :raises errors.NewerDatabase: the database is of a later one.
    """
    deploy.paste_file(conf)  # before anything is changed
    listener = _listen(conf)
    database = open_database(conf)
    migrate.upgrade(database.engine)
    password = db.bootstrap(conf, database)
    bus = daemon.connect(conf)
    notifier = emitter.attach(conf, database, binary="nova-lite")
    if notifier is not None and not conf.oslo_messaging_notifications.transport_url:
        LOG.warning("notifications are enabled and dropped: an all-in-one cloud has no message broker; "
                    "set [oslo_messaging_notifications] transport_url")
    parts = Parts(conf, database, RpcClients(bus))
    services = [*_services(conf, bus, database), *console_proxies.within(conf, database), store_cleaner(parts)]
    server = http_server(parts, deploy.load(parts), listener)
    api = threading.Thread(target=server.serve, name="api", daemon=True)
    started: list[daemon.Service] = []
    started_at = utcnow()
    try:
        for service in services:
            service.start()
            started.append(service)
        _wait_for_compute_host(database, since=started_at)
        api.start()
        cloud_file.write(conf, password)
        yield addresses.api_url(conf)
    finally:
        server.stop()
        for service in reversed(started):
            service.stop()
        parts.waiting.stop()
        if notifier is not None:
            notifier.stop()
        bus.cleanup()
        database.close()


def _listen(conf: cfg.ConfigOpts) -> socket.socket:
    where = concurrency.at(conf.api.listen, conf.api.port)
    try:
        return concurrency.listen(conf.api.listen, conf.api.port)
    except OSError as error:
        raise OSError(f"cannot listen on {where}: {error.strerror}; choose another --port or --listen") from error


def _wait_for_compute_host(database: Database, *, since: datetime.datetime) -> None:
    """Return once the compute worker has reported, so that the first server finds a host; without libvirt it reports that."""
    deadline = time.monotonic() + _FIRST_REPORT_S
    while time.monotonic() < deadline:
        with database.reader() as session:
            if any(service.seen_at >= since for service in hosts.services(session, binary="nova-compute")):
                return
        time.sleep(_POLL_S)
    LOG.warning("no compute host has reported within %s s: servers cannot be created yet", _FIRST_REPORT_S)


def _services(conf: cfg.ConfigOpts, bus: messaging.transport.RPCTransport, database: Database) -> list[daemon.Service]:
    return [
        ConductorService(conf, bus, database), SchedulerService(conf, bus, database),
        NetworkService(conf, bus), ComputeService(conf, bus), VolumeService(conf, bus),
    ]


def _start_in_background(conf: cfg.ConfigOpts) -> int:
    """Start this program again without --background, and wait until its API answers."""
    os.makedirs(conf.state_path, mode=0o700, exist_ok=True)
    pid, url = pid_file.running(conf.state_path), addresses.api_url(conf)
    if pid is not None or _answers(url):
        subject = f"the cloud of {conf.state_path} (pid {pid})" if pid else f"a service at {url}"
        print(f"nova-lite: {subject} is already running; nova-lite down stops the cloud", file=sys.stderr)
        return 1
    log = os.path.join(conf.state_path, "nova-lite.log")
    command = [sys.executable, "-m", pid_file.MODULE, *(arg for arg in sys.argv[1:] if arg != "--background")]
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        os.fchmod(output.fileno(), 0o600)  # of an earlier release
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + READY_S
    while child.poll() is None and time.monotonic() < deadline:
        if _answers(url):
            pid_file.write(conf.state_path, child.pid)
            print(f"nova_lite is up at {url} (pid {child.pid}, log {log})\n{cloud_file.client_commands(conf)}")
            return 0
        time.sleep(0.1)
    child.terminate()
    print(f"nova-lite: the cloud did not start; {log} ends with: {printable(_last_line(log))}", file=sys.stderr)
    return 1


def _last_line(path: str) -> str:
    with open(path, errors="replace") as log:
        return next(iter(collections.deque(log, maxlen=1)), "").strip()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # our own http URL
            return bool(response.status == 200)
    except OSError:
        return False
