# SPDX-License-Identifier: Apache-2.0
"""What every daemon does around its service: options, logging, signals, a clean exit."""

from __future__ import annotations

import contextlib
import ctypes
import logging as std_logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, Protocol

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.cmd.terminal import printable
from nova_lite.rpc import transport
from nova_lite.runtime import failpoints

LOG = logging.getLogger(__name__)
_EPILOG = """\
Example: %(name)s --config-file /etc/nova/nova.conf. Exit status: 0 stopped by SIGTERM or SIGINT; 1 it could not start, and
the last line on stderr says why; 2 the command line or nova.conf is invalid.
"""


class Service(Protocol):
    """What a daemon runs."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def configure(name: str, summary: str, argv: Sequence[str]) -> cfg.ConfigOpts:
    """Options and logging of this process; exits with 2 and a sentence when nova.conf or the command line is invalid."""
    conf = cfg.CONF
    try:
        options.load(list(argv), conf=conf, description=summary, epilog=_EPILOG % {"name": name})
    except cfg.Error as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    set_up(conf)
    return conf


# glibc gives each of many threads an arena of its own, which never shrinks: 16 MiB from one scrypt each.
_M_ARENA_MAX, _ARENAS = -8, 2


def bound_memory() -> None:
    """Let threads share two malloc arenas; an all-in-one cloud had grown to 490 MB after logins on 32 threads."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def set_up(conf: cfg.ConfigOpts) -> None:
    """Logging, failpoints and the state directory, once the options are loaded."""
    bound_memory()
    logging.set_defaults(default_log_levels=[
        *logging.get_default_log_levels(), "amqp=WARNING", "kombu=WARNING", "oslo_messaging=WARNING",
        "oslo.messaging=WARNING", "pyroute2=WARNING", "alembic=WARNING"])
    logging.setup(conf, "nova")
    if conf.failpoints:
        failpoints.arm(conf.failpoints)
    os.makedirs(conf.state_path, mode=0o700, exist_ok=True)


def connect(conf: cfg.ConfigOpts) -> messaging.transport.RPCTransport:
    """The message bus with our settings: durable queues, so that a restart of the broker loses no queued cast."""
    return transport.connect(conf)


def run(
    name: str, summary: str, argv: Sequence[str], make: Callable[[cfg.ConfigOpts, messaging.transport.RPCTransport], Service],
) -> None:
    """Run one service until SIGTERM or SIGINT; `summary` is the description in `--help`."""
    conf = configure(name, summary, argv)
    with starting(name):
        service = make(conf, connect(conf))
        service.start()
    LOG.info("%s is up on host %s", name, conf.host)
    wait_for_signal()
    LOG.info("%s is stopping", name)
    service.stop()
    leave()


@contextlib.contextmanager
def starting(name: str) -> Iterator[None]:
    """Exit with status 1 and the reason as the last line if the configuration or the machine prevents the start."""
    try:
        yield
    except (errors.NovaLiteError, OSError) as error:
        reason = error.text if isinstance(error, errors.NovaLiteError) else error
        print(f"{name}: {printable(reason)}", file=sys.stderr, flush=True)
        leave(1)


def leave(status: int = 0) -> NoReturn:
    """Exit now: another conductor resumes a workflow that still waits for a worker, and the interpreter would wait for it."""
    std_logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def wait_for_signal() -> None:
    """Block until SIGTERM or SIGINT.

    The kernel may deliver a signal to any thread. Python runs handlers in the main thread, and a lock on which that waits
    is not interrupted by a signal that another thread got; the byte in the pipe is written by the thread that got it.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    os.read(reading, 1)
