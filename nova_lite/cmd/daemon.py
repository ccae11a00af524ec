# SPDX-License-Identifier: Apache-2.0
"""What every daemon does around its service: options, logging, signals, a clean end."""

from __future__ import annotations

import contextlib
import ctypes
import logging as std_logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import conf as options
from nova_lite.rpc import transport
from nova_lite.runtime import failpoints

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


# glibc gives each of many threads an arena of its own, which keeps what it once held: 16 MiB from one scrypt each.
_M_ARENA_MAX, _ARENAS = -8, 2


def bound_memory() -> None:
    """Let threads share two malloc arenas; an all-in-one cloud had grown to 490 MB after logins on 32 threads."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def set_up(conf: cfg.ConfigOpts) -> None:
    """Logging and failpoints, once options are known."""
    bound_memory()
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
    leave()


def leave() -> None:
    """End now: a workflow that still waits for a worker goes on elsewhere, and the interpreter would wait for it."""
    std_logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def wait_for_signal() -> None:
    """Block until the process is asked to end.

    The kernel may hand a signal to any thread. Python runs handlers in the main one, and a lock on which that waits
    is not let go for a signal that another got; the byte in the pipe is written by whichever thread got it.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    os.read(reading, 1)
