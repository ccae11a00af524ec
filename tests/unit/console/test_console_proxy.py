# SPDX-License-Identifier: Apache-2.0
"""Proxy, nova-compute's console server and a simulated guest's consoles, over real sockets."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from nova_lite import errors
from nova_lite.compute.console_server import ConsoleServer
from nova_lite.compute.virt.fake import console_server as fake_consoles
from nova_lite.console.proxy import ConsoleProxy
from nova_lite.db.base import utcnow
from nova_lite.db.compute import consoles
from nova_lite.db.compute.consoles import ConsoleToken
from nova_lite.db.engine import Database
from nova_lite.rpc.compute import ConsoleAddress, ConsoleType
from tests.support import databases
from tests.support.wait import wait_until

SERVER = "6c9b1a52-0000-4000-8000-000000000001"
LIMIT_S = 10


@dataclasses.dataclass
class Consoles:
    """nova-compute's console server, both proxies and the rows that they share."""

    database: Database
    server: ConsoleServer
    ports: dict[ConsoleType, int]
    web: Path
    now: list[float]

    def token(self, kind: ConsoleType, *, token: str = "token-1", ttl_s: int = 600, server_id: str = SERVER) -> str:
        address = self.server.announce(server_id, kind, project_id="p", token_hash=consoles.digest(token), ttl_s=ttl_s)
        with self.database.writer() as session:
            consoles.add(session, ConsoleToken(
                token_hash=consoles.digest(token), server_id=server_id, type=kind.value, host=address.host,
                port=address.port, expires_at=utcnow() + datetime.timedelta(seconds=600)), now=utcnow())
        return token

    def open(self, kind: ConsoleType, token: str, **more: object) -> ClientConnection:
        url = f"ws://127.0.0.1:{self.ports[kind]}/?token={token}"
        return connect(url, open_timeout=LIMIT_S, subprotocols=[Subprotocol("binary")], proxy=None, **more)  # type: ignore[arg-type]

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[ConsoleType.NOVNC]}{path}", timeout=LIMIT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()


def connect_fake(server_id: str, kind: ConsoleType) -> socket.socket:
    if server_id != SERVER:
        raise errors.HypervisorFailed(host="h1", action="open a console", reason="the guest is not defined")
    return fake_consoles.connect(kind, "web")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Consoles]:
    database = databases.fresh(tmp_path)
    web = tmp_path / "novnc"
    web.mkdir()
    (web / "vnc_auto.html").write_text("<html>noVNC</html>")
    (tmp_path / "secret").write_text("secret")
    now = [0.0]
    server = ConsoleServer(address="127.0.0.1", port=0, connect=connect_fake, clock=lambda: now[0])
    server.start()
    ports = {}
    proxies = []
    for kind in ConsoleType:
        listener = socket.create_server(("127.0.0.1", 0))
        ports[kind] = listener.getsockname()[1]
        proxies.append(ConsoleProxy(type=kind.value, database=database, listener=listener, allowed_origins=["portal"],
                                    web=web if kind is ConsoleType.NOVNC else None))
        proxies[-1].start()
    yield Consoles(database, server, ports, web, now)
    for proxy in proxies:
        proxy.stop()
    server.stop()
    database.close()


def test_a_graphical_console_is_rfb_without_a_password(here: Consoles) -> None:
    with here.open(ConsoleType.NOVNC, here.token(ConsoleType.NOVNC)) as screen:
        assert screen.subprotocol == "binary"
        assert screen.recv(LIMIT_S) == b"RFB 003.008\n"
        screen.send(b"RFB 003.008\n")
        assert screen.recv(LIMIT_S) == b"\x01\x01"
        screen.send(b"\x01")
        assert screen.recv(LIMIT_S) == bytes(4)
        screen.send(b"\x01")
        start = screen.recv(LIMIT_S)
        assert isinstance(start, bytes)
        assert (struct.unpack(">HH", start[:4]), start[24:]) == ((fake_consoles.WIDTH, fake_consoles.HEIGHT), b"web")
        screen.send(struct.pack(">BBHHHH", 3, 0, 0, 0, fake_consoles.WIDTH, fake_consoles.HEIGHT))
        pixels = screen.recv(LIMIT_S)
        assert pixels[:4] == b"\x00\x00\x00\x01"


def test_a_serial_console_accepts_text_and_bytes(here: Consoles) -> None:
    with here.open(ConsoleType.SERIAL, here.token(ConsoleType.SERIAL)) as line:
        assert line.recv(LIMIT_S) == b"\r\nweb login: "
        line.send("root\n")
        assert line.recv(LIMIT_S) == b"root\n"
        line.send(b"\x00\xff")
        assert line.recv(LIMIT_S) == b"\x00\xff"


def test_a_later_connection_takes_over_a_serial_console(here: Consoles) -> None:
    token = here.token(ConsoleType.SERIAL)
    with here.open(ConsoleType.SERIAL, token) as first, here.open(ConsoleType.SERIAL, token) as second:
        assert second.recv(LIMIT_S) == b"\r\nweb login: "
        with pytest.raises(ConnectionClosed):
            while first.recv(LIMIT_S):
                pass


def refusal(here: Consoles, kind: ConsoleType, token: str, **more: object) -> tuple[int, str, bytes]:
    with pytest.raises(InvalidStatus) as caught:
        here.open(kind, token, **more)
    answer = caught.value.response
    return answer.status_code, answer.headers["X-Console-Refusal"], bytes(answer.body)


def test_an_unknown_token_is_refused_without_a_body(here: Consoles) -> None:
    here.token(ConsoleType.NOVNC)
    status, reason, body = refusal(here, ConsoleType.NOVNC, "bad")
    assert (status, "unknown, has expired" in reason, body) == (403, True, b"")


def test_a_token_of_another_console_type_is_refused(here: Consoles) -> None:
    assert refusal(here, ConsoleType.SERIAL, here.token(ConsoleType.NOVNC))[0] == 403


def test_a_token_without_a_row_is_refused(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC)
    with here.database.writer() as session:
        consoles.forget(session, SERVER)
    assert refusal(here, ConsoleType.NOVNC, token)[0] == 403


def test_the_host_itself_refuses_an_expired_token(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC, ttl_s=5)
    here.now[0] = 6.0
    assert refusal(here, ConsoleType.NOVNC, token)[1] == "the token is unknown to the host, or has expired"


def test_the_hypervisors_error_reaches_the_user(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC, server_id="6c9b1a52-0000-4000-8000-00000000dead")
    assert "the guest is not defined" in refusal(here, ConsoleType.NOVNC, token)[1]


def test_a_host_that_does_not_answer_is_the_reason(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC)
    here.server.stop()
    assert "does not answer" in refusal(here, ConsoleType.NOVNC, token)[1]


@pytest.mark.parametrize(("origin", "is_allowed"), [
    ("http://127.0.0.1:6080", True), ("https://portal", True), ("http://evil.example", False), ("null", False),
])
def test_pages_of_other_sites_open_no_consoles(here: Consoles, origin: str, is_allowed: bool) -> None:
    token = here.token(ConsoleType.NOVNC)
    if is_allowed:
        here.open(ConsoleType.NOVNC, token, origin=origin).close()
    else:
        assert refusal(here, ConsoleType.NOVNC, token, origin=origin)[0] == 403


def test_novnc_is_served_for_a_valid_url_and_the_reason_for_others(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC)
    assert here.page(f"/vnc_auto.html?path=%3Ftoken%3D{token}") == (200, "<html>noVNC</html>")
    status, text = here.page("/vnc_auto.html?path=%3Ftoken%3Dbad")
    assert (status, "has expired" in text) == (403, True)


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/", "/nothing"])
def test_nothing_but_novnc_is_served(here: Consoles, path: str) -> None:
    assert here.page(path)[0] == 404


def test_a_proxy_without_novnc_names_the_package(here: Consoles) -> None:
    (here.web / "vnc_auto.html").unlink()
    here.web.rmdir()
    status, text = here.page("/vnc_auto.html")
    assert (status, "Install the package novnc" in text) == (404, True)


def test_silent_connections_to_a_proxy_are_few(here: Consoles) -> None:
    """Those beyond the bound are closed at once, and an open console takes none of their places."""
    with here.open(ConsoleType.SERIAL, here.token(ConsoleType.SERIAL)), contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", here.ports[ConsoleType.SERIAL]), timeout=LIMIT_S))
            for _ in range(33)]
        assert silent[-1].recv(100) == b""
        for one in silent:
            one.close()
        token = here.token(ConsoleType.SERIAL, token="token-2")
        wait_until(lambda: _opens(here, token), "a place to be free")


def _opens(here: Consoles, token: str) -> bool:
    try:
        here.open(ConsoleType.SERIAL, token).close()
    except (EOFError, OSError, InvalidMessage):
        return False
    return True


def test_a_console_server_that_cannot_listen_reports_it() -> None:
    occupied = socket.create_server(("127.0.0.1", 0))
    with occupied:
        server = ConsoleServer(address="127.0.0.1", port=occupied.getsockname()[1], connect=connect_fake)
        server.start()
        with pytest.raises(errors.Unavailable, match="cannot listen"):
            server.announce(SERVER, ConsoleType.SERIAL, project_id="p", token_hash="x", ttl_s=1)


def test_connections_without_a_token_take_no_place_of_those_with_one(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC)
    row = here.server.announce(SERVER, ConsoleType.NOVNC, project_id="p", token_hash=consoles.digest(token), ttl_s=60)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((row.host, row.port), timeout=LIMIT_S)) for _ in range(40)]
        assert silent[-1].recv(100) == b"no too many connections without a token\n"
        for one in silent:
            one.close()
        wait_until(lambda: _greeting(row, token) == b"ok\n", "a place to be free")


def test_one_token_opens_few_consoles_at_once(here: Consoles) -> None:
    token = here.token(ConsoleType.NOVNC)
    row = here.server.announce(SERVER, ConsoleType.NOVNC, project_id="p", token_hash=consoles.digest(token), ttl_s=60)
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(5):
            wire = stack.enter_context(socket.create_connection((row.host, row.port), timeout=LIMIT_S))
            wire.sendall(f"{token}\n".encode())
            opened.append(wire.recv(3))
        assert opened == [b"ok\n"] * 4 + [b"no "]


def test_a_project_with_many_servers_leaves_consoles_to_others() -> None:
    """The bound is exact, and a place is free again when a console was closed."""
    server = ConsoleServer(address="127.0.0.1", port=0, connect=lambda _, kind: fake_consoles.connect(kind, "web"))
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)

        def opened(project_id: str, number: int) -> socket.socket:
            token = f"{project_id}-{number}"
            row = server.announce(
                f"{project_id}-{number % 10}", ConsoleType.NOVNC, project_id=project_id, token_hash=consoles.digest(token), ttl_s=60)
            wire = stack.enter_context(socket.create_connection((row.host, row.port), timeout=LIMIT_S))
            wire.sendall(f"{token}\n".encode())
            return wire

        greedy = [opened("greedy", number) for number in range(25)]
        answers = sorted(wire.recv(3) for wire in greedy)
        assert answers == [b"no "] * 5 + [b"ok\n"] * 20
        assert opened("modest", 0).recv(3) == b"ok\n"
        for wire in greedy:
            wire.close()
        wait_until(lambda: opened("greedy", 30).recv(3) == b"ok\n", "a place to be free")


def _greeting(row: ConsoleAddress, token: str) -> bytes:
    with socket.create_connection((row.host, row.port), timeout=LIMIT_S) as wire:
        wire.sendall(f"{token}\n".encode())
        return wire.recv(3)
