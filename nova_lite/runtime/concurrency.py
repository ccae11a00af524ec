# SPDX-License-Identifier: Apache-2.0
"""The only importer of eventlet: how a process waits is decided here and nowhere else.

Upstream is retiring eventlet, so everything also runs on native threads; see docs/decisions/0002.
"""

from __future__ import annotations

import configparser
import importlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nova_lite.runtime.discard import discard_body

if TYPE_CHECKING:
    from nova_lite.runtime.http.limits import Limits
    from nova_lite.runtime.http.peers import Peer
    from nova_lite.runtime.http.policy import Policy
    from nova_lite.runtime.http.server import Server

_is_green = False
_LOGINS = 4  # at once; two of them compute hashes
_DEFAULT_FILES = ("/etc/nova/nova.conf",)


def choose_before_imports(argv: Sequence[str], *, default: str) -> None:
    """Patch the standard library for eventlet if this daemon is to use it; call before any other import.

    `[DEFAULT] concurrency` is read by hand, since reading options properly would import what must be patched.
    """
    if _configured(argv) in ("eventlet", "auto") and (default == "eventlet" or _configured(argv) == "eventlet"):
        _patch()


def _configured(argv: Sequence[str]) -> str:
    files = [arg.partition("=")[2] or argv[number + 1] for number, arg in enumerate(argv)
             if arg.startswith("--config-file=") or (arg == "--config-file" and number + 1 < len(argv))]
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    parser.read(files or _DEFAULT_FILES)
    return parser.defaults().get("concurrency") or "auto"


def _patch() -> None:
    global _is_green  # one fact about the process
    import eventlet

    eventlet.monkey_patch()
    _is_green = True


def is_green() -> bool:
    """Whether this process waits by eventlet."""
    return _is_green


class HttpServer:
    """Serves a WSGI application on a listening socket with eventlet or native threads; `serve` blocks.

    `threads`: requests that are answered at once, half of them reads and half writes; beside these, half as many transfers,
    a few logins, and requests that have given their place back. eventlet has one pool of `threads` for all.
    `peer`: other processes accept from `listener` too, and native threads share the connections with them.
    """

    def __init__(
        self, app: Callable[..., Any], listener: socket.socket, *, threads: int, policy: Policy | None = None, limits: Limits | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._app, self._listener, self._threads = app, listener, threads
        self._policy, self._limits, self._peer = policy, limits, peer
        # A byte in a pipe ends it, since that is all that a signal handler may safely do.
        self._end_requested, self._request_end = os.pipe()
        os.set_blocking(self._request_end, False)

    def end_by(self, signals: Sequence[signal.Signals], *, grace_s: int) -> None:
        """Let `signals` end it, and this process with it when requests in hand take longer than `grace_s`.

        The kernel may hand a signal to any thread, and a read in the main one, where Python runs handlers, goes on
        when another got it; the byte in the pipe is written by whichever thread got it.
        """
        def bound(_number: int, _frame: object) -> None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(grace_s)

        signal.set_wakeup_fd(self._request_end, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, bound)

    def serve(self) -> None:
        """Answer requests until `stop`, and then until those in hand are answered."""
        if _is_green:
            self._serve_green()
        else:
            self._serve_threads()

    def stop(self) -> None:
        """Accept no more; returns at once. For signal handlers and other threads, also before `serve`."""
        os.write(self._request_end, b".")

    def _serve_green(self) -> None:
        import eventlet.wsgi
        from eventlet import hubs

        serving = eventlet.spawn(
            eventlet.wsgi.server, self._listener, _bound_discards(self._app),
            custom_pool=eventlet.GreenPool(self._threads), log=_Silent(), log_output=False, socket_timeout=60, debug=False,
        )
        hubs.trampoline(self._end_requested, read=True)
        serving.kill(KeyboardInterrupt)  # eventlet's server takes it as the request to end in order
        serving.wait()

    def _serve_threads(self) -> None:
        server = self._make()
        serving = threading.Thread(target=server.serve, name="http", daemon=True)
        serving.start()
        os.read(self._end_requested, 1)
        server.stop()
        serving.join()

    def _make(self) -> Server:
        from nova_lite.runtime.http.admission import Admission
        from nova_lite.runtime.http.limits import Limits
        from nova_lite.runtime.http.policy import LOGINS, READS, TRANSFERS, WRITES, ByMethod
        from nova_lite.runtime.http.server import Server

        limits = self._limits or Limits()
        half = max(1, self._threads // 2)
        sizes = {READS: half, WRITES: min(half, limits.writes), TRANSFERS: half, LOGINS: min(half, _LOGINS)}
        admission = Admission(sizes, max_wait_s=limits.max_wait_s, most_of_tenant={  # one place at least is others', where there are two
            TRANSFERS: max(1, half // 2), WRITES: max(1, min(sizes[WRITES] - 1, limits.writes_of_tenant))})
        return Server(
            self._app, self._listener, admission=admission, policy=self._policy or ByMethod(), threads=sum(sizes.values()) + limits.waits,
            limits=limits, peer=self._peer)


class _Silent:
    """eventlet's server says on stderr that it starts and ends; our own log says so already."""

    def info(self, *_args: object) -> None: ...

    debug = error = info


def _bound_discards(app: Callable[..., Any]) -> Callable[..., Any]:
    """Let eventlet's server discard an unread body up to a limit only; then it closes the connection."""
    from eventlet import wsgi

    def bounded(environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["wsgi.input"]

        def discard() -> None:
            if not discard_body(body.read):
                raise wsgi.ChunkReadError("the unread body is too large")

        body.discard = discard
        return app(environ, start_response)

    return bounded


def wait_for_child() -> int:
    """Block this process until a child of it has ended; its pid, or 0 when there is none.

    eventlet's own `os.wait` looks a hundred times a second.
    """
    try:
        return int(_native("os").wait()[0])
    except ChildProcessError:
        return 0


def end_at_eof(pipe: int) -> None:
    """Send this process SIGTERM once the other end of `pipe` is closed by all who held it, a killed one too."""
    def wait() -> None:
        _native("os").read(pipe, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    _native("threading").Thread(target=wait, name="lifeline", daemon=True).start()


def part_from_parent() -> None:
    """Call first in a child after a fork: it gets a hub of its own, and locks of its own for the log.

    An epoll instance is the same one in parent and children, so one that waits is woken, or not, for what another
    waits for; so is the pipe in oslo.log's lock, whose one byte a child that is killed takes with it.
    """
    if not _is_green:
        return
    import logging

    from eventlet import hubs

    hubs.use_hub()
    loggers = (logging.root, *(known for known in logging.root.manager.loggerDict.values() if isinstance(known, logging.Logger)))
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.createLock()


def block(seconds: float) -> None:
    """Sleep without a hub, which a process that forks must not have."""
    _native("time").sleep(seconds)


def _native(name: str) -> Any:
    """A module of the standard library as it is without eventlet."""
    if _is_green:
        from eventlet import patcher

        return patcher.original(name)
    return importlib.import_module(name)


def at(host: str, port: int) -> str:
    """An address and port in one, for messages: `192.0.2.1:8774`, `[::1]:8774`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; on `::` for IPv4 too. :raises OSError: the port is taken or the address is not ours."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)  # a name's IPv4 address first
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener

