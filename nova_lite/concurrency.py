# SPDX-License-Identifier: Apache-2.0
"""The only importer of eventlet: how a process waits is decided here and nowhere else.

Upstream is retiring eventlet, so everything also runs on native threads; see docs/decisions/0002.
"""

from __future__ import annotations

import configparser
import socket
from collections.abc import Callable, Sequence
from typing import Any

_is_green = False
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
    global _is_green  # noqa: PLW0603 - one fact about the process
    import eventlet

    eventlet.monkey_patch()
    _is_green = True


def is_green() -> bool:
    """Whether this process waits by eventlet."""
    return _is_green


class HttpServer:
    """Serves a WSGI application on a listening socket with eventlet or native threads; `serve` blocks."""

    def __init__(self, app: Callable[..., Any], listener: socket.socket, *, threads: int) -> None:
        self._app, self._listener, self._threads = app, listener, threads
        self._threaded: Any = None

    def serve(self) -> None:
        """Answer requests until `stop`."""
        if _is_green:
            self._serve_green()
        else:
            self._serve_threads()

    def _serve_green(self) -> None:
        import eventlet.wsgi

        pool = eventlet.GreenPool(self._threads)
        eventlet.wsgi.server(
            self._listener, self._app, custom_pool=pool, log_output=False, socket_timeout=60, debug=False,
            max_size=self._threads,
        )

    def _serve_threads(self) -> None:
        from cheroot import wsgi

        listener = self._listener

        class Server(wsgi.Server):
            def bind(self, family: int, type: int, proto: int = 0) -> None:  # noqa: A002, ARG002 - cheroot's names
                self.socket = listener

        address = listener.getsockname()[:2]
        self._threaded = Server(address, self._app, numthreads=self._threads, request_queue_size=1024, timeout=60)
        self._threaded.safe_start()

    def stop(self) -> None:
        """Stop accepting; requests in hand are finished."""
        if self._threaded is not None:
            self._threaded.stop()
        else:
            self._listener.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. :raises OSError: the port is taken or the address is not ours."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    listener.listen(1024)
    return listener

