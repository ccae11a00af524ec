# SPDX-License-Identifier: Apache-2.0
"""`nova-lite up`: every service in one process on embedded defaults."""

from __future__ import annotations

import argparse
import contextlib
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
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite.api import deploy
from nova_lite.api.image.cleanup import store_cleaner
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.cmd import console_proxies, daemon, network, pid_file, settings
from nova_lite.cmd.lite import cloud_file, db
from nova_lite.compute.service import ComputeService
from nova_lite.conductor.service import ConductorService
from nova_lite.db import migrate
from nova_lite.db.engine import Database, open_database
from nova_lite.notifications import emitter
from nova_lite.runtime import concurrency
from nova_lite.scheduler.service import SchedulerService
from nova_lite.volume.service import VolumeService

LOG = logging.getLogger(__name__)
READY_S = 120.0


def add_to(subcommands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    parser = subcommands.add_parser("up", help="start the whole cloud in this process")
    settings.add_to(parser)
    parser.add_argument("--port", type=int, help="port of the API (default 8774)")
    parser.add_argument("--listen", help="address of the API (default 127.0.0.1)")
    parser.add_argument("--fake", action="store_true", help="simulated guests and networks: no root, ready in a second")
    parser.add_argument("--hosts", type=int, default=1, help="with --fake: how many hosts to simulate")
    parser.add_argument("--background", action="store_true", help="return when the API answers; log and pid file in the state directory")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start, say how to go on, and run until asked to end."""
    conf = configure(arguments)
    if arguments.background:
        return _start_in_background(conf)
    daemon.set_up(conf)
    try:
        with cloud(conf) as url:
            print(f"nova_lite is up at {url}\n{cloud_file.how_to_go_on(conf)}", flush=True)
            daemon.wait_for_signal()
    except OSError as taken:
        print(f"nova-lite: {taken}", file=sys.stderr)
        return 1
    daemon.leave()
    return 0


def configure(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """The configuration of the all-in-one shape: what the command line says, else nova.conf, else defaults."""
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
    embed(conf)


def embed(conf: cfg.ConfigOpts) -> None:
    """Messages stay in the process, whatever nova.conf says of a broker; clients reach the API where it listens."""
    transport_url(conf)
    if not conf.api.public_url:
        conf.set_override("public_url", f"http://{conf.api.listen}:{conf.api.port}", group="api")


def transport_url(conf: cfg.ConfigOpts) -> None:
    """Hand messages over within the process: see docs/decisions/0008."""
    messaging.set_transport_defaults("nova")
    conf.register_opts(messaging.transport._transport_opts)  # noqa: SLF001 - registered only by get_rpc_transport
    conf.set_override("transport_url", "inprocess://")


@contextlib.contextmanager
def cloud(conf: cfg.ConfigOpts) -> Iterator[str]:
    """All services, from the database up; yields the API's URL when it answers.

    :raises OSError: the port is taken, or the address is not this machine's.
    """
    listener = _listen(conf)
    database = open_database(conf)
    migrate.upgrade(database.engine)
    password = db.bootstrap(conf, database)
    bus = daemon.connect(conf)
    told = emitter.attach(conf, database, binary="nova-lite")
    if told is not None and not conf.oslo_messaging_notifications.transport_url:
        LOG.warning("notifications are on, and nobody hears them: this cloud has no broker of its own; "
                    "set [oslo_messaging_notifications] transport_url")
    parts = Parts(conf, database, RpcClients(bus))
    services = [*_services(conf, bus, database), *console_proxies.within(conf, database), store_cleaner(parts)]
    server = concurrency.HttpServer(deploy.load(parts), listener, threads=conf.api.threads)
    api = threading.Thread(target=server.serve, name="api", daemon=True)
    started: list[daemon.Service] = []
    try:
        for service in services:
            service.start()
            started.append(service)
        api.start()
        cloud_file.write(conf, password)
        yield conf.api.public_url
    finally:
        server.stop()
        for service in reversed(started):
            service.stop()
        if told is not None:
            told.stop()
        bus.cleanup()
        database.close()


def _listen(conf: cfg.ConfigOpts) -> socket.socket:
    where = f"{conf.api.listen}:{conf.api.port}"
    try:
        return concurrency.listen(conf.api.listen, conf.api.port)
    except OSError as error:
        raise OSError(f"cannot listen on {where}: {error.strerror}; choose another --port or --listen") from error


def _services(conf: cfg.ConfigOpts, bus: messaging.transport.RPCTransport, database: Database) -> list[daemon.Service]:
    return [
        ConductorService(conf, bus, database), SchedulerService(conf, bus, database),
        network.make(conf, bus), ComputeService(conf, bus), VolumeService(conf, bus),
    ]


def _start_in_background(conf: cfg.ConfigOpts) -> int:
    """Start ourselves again without --background, and wait until the API answers."""
    os.makedirs(conf.state_path, mode=0o700, exist_ok=True)
    already = pid_file.running(conf.state_path)
    if already is not None or _answers(conf.api.public_url):
        who = f"the cloud of {conf.state_path} (pid {already})" if already else f"something at {conf.api.public_url}"
        print(f"nova-lite: {who} runs already; nova-lite down stops the cloud", file=sys.stderr)
        return 1
    log = os.path.join(conf.state_path, "nova-lite.log")
    command = [sys.executable, "-m", "nova_lite.cmd.lite.main", *(arg for arg in sys.argv[1:] if arg != "--background")]
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + READY_S
    while child.poll() is None and time.monotonic() < deadline:
        if _answers(conf.api.public_url):
            pid_file.write(conf.state_path, child.pid)
            print(f"nova_lite is up at {conf.api.public_url} (pid {child.pid}, log {log})\n{cloud_file.how_to_go_on(conf)}")
            return 0
        time.sleep(0.1)
    child.terminate()
    print(f"nova-lite: the cloud did not come up; see the end of {log}", file=sys.stderr)
    return 1


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http URL
            return bool(answer.status == 200)
    except OSError:
        return False
