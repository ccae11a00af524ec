# SPDX-License-Identifier: Apache-2.0
"""A console proxy: connects a browser's WebSocket with the console that its token opens."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log as oslo_logging
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from nova_lite.console import pages
from nova_lite.console.handshakes import Handshakes
from nova_lite.db.base import utcnow
from nova_lite.db.compute import consoles
from nova_lite.db.engine import Database

LOG = oslo_logging.getLogger(__name__)
_CONNECT_S = 15.0
_MAX_ANSWER = 1024
_CHUNK = 1 << 16
_MAX_MESSAGE = 1 << 22  # bytes that a browser may send at once: a clipboard


class Refused(Exception):  # a response
    """The console cannot be opened; the text is for the user."""


class Connection(ServerConnection):
    """A WebSocket, and the console that its token opened."""

    console: socket.socket | None = None
    server_id = ""


class ConsoleProxy:
    """nova-novncproxy or nova-serialproxy: `type` is the type of token that it accepts.

    `web`: noVNC's files, served to browsers; None: WebSockets only.
    """

    def __init__(
        self, *, type: str, database: Database, listener: socket.socket, allowed_origins: Sequence[str],  # noqa: A002
        web: Path | None,
    ) -> None:
        self._type = type
        self._database = database
        self._web = web
        self._allowed = frozenset(allowed_origins)
        self._handshakes = Handshakes()
        # The library logs requests with their tokens at debug level.
        quiet = logging.getLogger("websockets.quiet")
        quiet.setLevel(logging.CRITICAL)
        self._server: Server = serve(
            self._relay, sock=listener, process_request=self._admit, select_subprotocol=_subprotocol, compression=None,
            create_connection=self._connection,  # type: ignore[arg-type]  # any callable will do
            max_size=_MAX_MESSAGE, logger=quiet, server_header=None,
        )
        self._server.handler = self._handshakes.bounding(self._server.handler)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name=f"{self._type}-proxy", daemon=True).start()

    def stop(self) -> None:
        """Stop, and close open consoles."""
        self._server.shutdown()

    def _connection(self, *arguments: Any, **more: Any) -> Connection:  # those of the library's class
        """:raises ConnectionRefusedError: too many have sent no request yet; the library closes the connection."""
        self._handshakes.require_place()
        return Connection(*arguments, **more)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Open the console of a WebSocket and return None, or return the response to anything else."""
        self._handshakes.end()
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        token = pages.token_in(request.path)
        if not is_websocket:
            return self._page(request, token)
        if not self._is_origin_allowed(request):
            return pages.refusal(HTTPStatus.FORBIDDEN, "the page's origin is not in [console] allowed_origins")
        assert isinstance(connection, Connection)
        try:
            connection.server_id, connection.console = self._open(token or _token_of_cookie(request))
        except Refused as error:
            LOG.info("%s console refused: %s", self._type, error)
            return pages.refusal(HTTPStatus.FORBIDDEN, str(error))
        return None

    def _page(self, request: Request, token: str | None) -> Response:
        if self._web is None:
            return pages.page(HTTPStatus.UPGRADE_REQUIRED, "Serial consoles are opened by WebSocket clients.")
        if token is not None and self._find(token) is None:
            return pages.page(HTTPStatus.FORBIDDEN, pages.EXPIRED)
        return pages.file(self._web, request.path)

    def _is_origin_allowed(self, request: Request) -> bool:
        """Pages of other sites must not open consoles; programs other than browsers send no Origin."""
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        host = urllib.parse.urlsplit(origin).hostname
        return host in self._allowed or host == urllib.parse.urlsplit(f"//{request.headers.get('Host', '')}").hostname

    def _find(self, token: str) -> consoles.ConsoleToken | None:
        with self._database.reader() as session:
            row = consoles.find(session, token, now=utcnow())
        return row if row is not None and row.type == self._type else None

    def _open(self, token: str | None) -> tuple[str, socket.socket]:
        """The server, and a connection to its console.

        :raises Refused: the token is not valid, or the server's host does not answer or refuses the connection.
        """
        row = self._find(token) if token else None
        if row is None or token is None:
            raise Refused(pages.EXPIRED)
        try:
            line = socket.create_connection((row.host, row.port), timeout=_CONNECT_S)
        except OSError as error:
            raise Refused(f"the server's host does not answer: {error.strerror or error}") from error
        try:
            _authenticate(line, token)
        except (Refused, OSError) as error:
            line.close()
            raise Refused(str(error)) from error
        return row.server_id, line

    def _relay(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        line = connection.console
        assert line is not None
        LOG.info("server %s: %s console opened", connection.server_id, self._type)
        back = threading.Thread(target=_to_browser, args=(line, connection), name="console-out", daemon=True)
        with line:
            back.start()
            with contextlib.suppress(ConnectionClosed, OSError):
                for message in connection:
                    line.sendall(message.encode() if isinstance(message, str) else message)
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            back.join()
        LOG.info("server %s: %s console closed", connection.server_id, self._type)


def _to_browser(line: socket.socket, connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):
        while data := line.recv(_CHUNK):
            connection.send(data)
    connection.close()


def _authenticate(line: socket.socket, token: str) -> None:
    """Send the token to nova-compute, which must answer `ok`; nothing beyond its answer is read."""
    line.sendall(f"{token}\n".encode())
    answer = b""
    while not answer.endswith(b"\n") and len(answer) < _MAX_ANSWER and (one := line.recv(1)):
        answer += one
    if answer != b"ok\n":
        raise Refused(answer.decode(errors="replace").strip().removeprefix("no ") or "the server's host closed the connection")
    line.settimeout(None)


def _token_of_cookie(request: Request) -> str | None:
    """The token as noVNC sent it before version 1.1."""
    for part in request.headers.get("Cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "token":
            return value
    return None


def _subprotocol(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`binary` if the client offers it, as noVNC does; without a subprotocol frames are binary too."""
    return next((name for name in offered if name == "binary"), None)


Make = Callable[[cfg.ConfigOpts, Database, socket.socket], ConsoleProxy]


def novnc(conf: cfg.ConfigOpts, database: Database, listener: socket.socket) -> ConsoleProxy:
    """nova-novncproxy."""
    return ConsoleProxy(type="novnc", database=database, listener=listener,
                        allowed_origins=conf.console.allowed_origins, web=Path(conf.vnc.web))


def serial(conf: cfg.ConfigOpts, database: Database, listener: socket.socket) -> ConsoleProxy:
    """nova-serialproxy."""
    return ConsoleProxy(type="serial", database=database, listener=listener,
                        allowed_origins=conf.console.allowed_origins, web=None)
