# SPDX-License-Identifier: Apache-2.0
"""What every daemon does around its service: options, logging, signals, a clean end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import conf as options
from nova_lite import failpoints
from nova_lite.rpc import transport

LOG = logging.getLogger(__name__)


class Service(Protocol):
    """What a daemon runs."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def configure(argv: Sequence[str]) -> cfg.ConfigOpts:
    """Options and logging of this process; exits with 2 and a sentence when they are wrong."""
    conf = cfg.CONF
    try:
        options.load(list(argv), conf=conf)
    except cfg.Error as wrong:
        sys.exit(f"nova_lite: {wrong}")
    set_up(conf)
    return conf


def set_up(conf: cfg.ConfigOpts) -> None:
    """Logging and failpoints, once options are known."""
    logging.set_defaults(default_log_levels=[
        *logging.get_default_log_levels(), "amqp=WARNING", "kombu=WARNING", "oslo_messaging=WARNING",
        "oslo.messaging=WARNING", "pyroute2=WARNING", "alembic=WARNING"])
    logging.setup(conf, "nova")
    if conf.failpoints:
        failpoints.arm(conf.failpoints)
    os.makedirs(conf.state_path, mode=0o700, exist_ok=True)


def connect(conf: cfg.ConfigOpts) -> messaging.transport.RPCTransport:
    """The message bus with our settings: durable queues, so that a broker's end loses no waiting cast."""
    return transport.connect(conf)


def run(name: str, argv: Sequence[str], make: Callable[[cfg.ConfigOpts, messaging.transport.RPCTransport], Service]) -> None:
    """Run one service until SIGTERM or SIGINT."""
    conf = configure(argv)
    service = make(conf, connect(conf))
    service.start()
    LOG.info("%s is up on host %s", name, conf.host)
    wait_for_signal()
    LOG.info("%s stops", name)
    service.stop()


def wait_for_signal() -> None:
    """Block until the process is asked to end."""
    asked = threading.Event()

    def ask(_number: int, _frame: Any) -> None:  # noqa: ANN401 - the signal module's types
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    asked.wait()
