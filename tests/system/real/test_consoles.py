# SPDX-License-Identifier: Apache-2.0
"""Consoles of a real guest, by websocket and in a real browser."""

from __future__ import annotations

import dataclasses
import datetime
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from nova_lite import conf as options
from nova_lite.compute.service import ComputeService
from nova_lite.console import proxy
from nova_lite.context import Context
from nova_lite.db.base import Base, utcnow
from nova_lite.db.compute import consoles
from nova_lite.db.compute.consoles import ConsoleToken
from nova_lite.db.engine import Database
from nova_lite.rpc import transport
from nova_lite.rpc.compute import ComputeRpc, ConsoleType
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.interface import serve
from nova_lite.rpc.order import Order
from tests.support.guests import guest_image, guest_of, image_server
from tests.support.private_libvirt import missing, private_libvirt
from tests.support.system import browser
from tests.support.wait import wait_until
from tests.system.real.test_compute_worker import BOOT_S, Conductor, configure

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")


@dataclasses.dataclass
class Guest:
    """A guest that has booted, and both proxies."""

    directory: Path
    server_id: str
    compute: ComputeRpc
    database: Database
    ports: dict[ConsoleType, int]

    def token(self, kind: ConsoleType) -> str:
        token = uuid.uuid4().hex
        address = self.compute.open_console(
            Context(), server_id=self.server_id, type=kind, token_hash=consoles.digest(token), ttl_s=600)
        now = utcnow()
        with self.database.writer() as session:
            consoles.add(session, ConsoleToken(
                token_hash=consoles.digest(token), server_id=self.server_id, type=kind.value, host=address.host,
                port=address.port, expires_at=now + datetime.timedelta(seconds=600)), now=now)
        return token

    def open(self, kind: ConsoleType) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.ports[kind]}/?token={self.token(kind)}", proxy=None)


def until(line: ClientConnection, wanted: bytes, *, typing: str) -> None:
    """Type until the console says `wanted`: what comes before the guest's shell has opened its terminal is lost."""
    said, is_quiet, deadline = b"", True, time.monotonic() + BOOT_S
    while wanted not in said:
        assert time.monotonic() < deadline, said[-1000:]
        if is_quiet:
            line.send(typing)
        try:
            said, is_quiet = said + bytes(line.recv(2, decode=False)), False
        except TimeoutError:
            is_quiet = True


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    directory = tmp_path_factory.mktemp("consoles")
    image = guest_image(tmp_path_factory)
    with private_libvirt(directory / "libvirt") as libvirt, image_server(image) as images:
        conf = options.load([], files=[str(configure(directory, libvirt.uri))])
        wire = transport.connect(conf)
        server = serve(ConductorRpc, wire, "conductor1", [conductor := Conductor()])
        server.start()
        service = ComputeService(conf, wire)
        service.start()
        database = Database(f"sqlite:///{directory}/rows.sqlite")
        Base.metadata.create_all(database.engine)
        ports, proxies = {}, []
        for kind, make in ((ConsoleType.NOVNC, proxy.novnc), (ConsoleType.SERIAL, proxy.serial)):
            listener = socket.create_server(("127.0.0.1", 0))
            ports[kind] = listener.getsockname()[1]
            proxies.append(make(conf, database, listener))
            proxies[-1].start()
        compute = ComputeRpc.client(wire, host="node1")
        made = guest_of(images.image(), server_id=str(uuid.uuid4()), host="node1")
        compute.build(Context(), order=Order(epoch=1, action=1), guest=made)
        wait_until(lambda: bool(conductor.steps), "the build", seconds=BOOT_S)
        yield Guest(directory, made.server_id, compute, database, ports)
        compute.destroy(Context(), server_id=made.server_id, order=Order(epoch=1, action=2))
        wait_until(lambda: len(conductor.steps) == 2, "the destroy")
        for one in proxies:
            one.stop()
        service.stop()
        server.stop()
        server.wait()
        database.close()


def output_of(guest: Guest) -> str:
    return guest.compute.console_output(Context(), server_id=guest.server_id, length=None)


def test_a_user_works_on_the_serial_console_and_its_log_goes_on(guest: Guest) -> None:
    with guest.open(ConsoleType.SERIAL) as line:
        wait_until(lambda: "READY web" in output_of(guest), "the guest to have booted", seconds=BOOT_S)
        until(line, b"con42sole", typing="\necho con$((40+2))sole\n")
    # The log is written beside the connection, so it may be some letters behind.
    wait_until(lambda: "con42sole" in output_of(guest), "the log to have what the console said", details=lambda: output_of(guest))


def test_the_next_user_finds_the_serial_console_free(guest: Guest) -> None:
    with guest.open(ConsoleType.SERIAL) as line:
        until(line, b"again2", typing="\necho again$((1+1))\n")


def test_the_screen_is_sent_over_rfb(guest: Guest) -> None:
    with guest.open(ConsoleType.NOVNC) as screen:
        assert screen.recv(30) == b"RFB 003.008\n"
        screen.send(b"RFB 003.008\n")
        assert screen.recv(30) == b"\x01\x01"
        screen.send(b"\x01")
        assert screen.recv(30) == bytes(4)
        screen.send(b"\x01")
        start = screen.recv(30, decode=False)
        width, height = struct.unpack(">HH", start[:4])
        assert width >= 640
        screen.send(struct.pack(">BxHi", 2, 1, 0) + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        received = b""
        while len(received) < width * height * 4:
            received += bytes(screen.recv(60, decode=False))
        assert received[0] == 0
        assert len(set(received[16:])) > 1  # not one colour all over


@pytest.mark.skipif(not browser.is_here() or not Path("/usr/share/novnc").exists(), reason="not here: chromium, novnc")
def test_a_browser_shows_the_guests_screen(guest: Guest) -> None:
    url = f"http://127.0.0.1:{guest.ports[ConsoleType.NOVNC]}/vnc_lite.html?path=%3Ftoken%3D{guest.token(ConsoleType.NOVNC)}"
    colours = """(() => { const c = document.querySelector('canvas'); if (!c || c.width < 640) return 0;
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
        for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
        return seen.size })()"""
    with browser.page(guest.directory, url) as page:
        wait_until(lambda: (page.evaluate(colours) or 0) > 1, "the guest's screen", seconds=90,
                   details=lambda: str(page.evaluate("document.body.innerText")))
        page.picture(guest.directory / "screen.png")
        assert "Connected to QEMU" in page.evaluate("document.body.innerText")
