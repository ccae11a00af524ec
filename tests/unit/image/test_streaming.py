# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads of 100 MiB through real HTTP servers: memory stays constant, and what a crash leaves is cleaned."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.api.image.store import Store, clean
from nova_lite.db.base import utcnow
from nova_lite.db.engine import Database
from nova_lite.db.image import images
from tests.support.wait import wait_until

MIB = 1024**2
CHUNK = b"0123456789abcdef" * (MIB // 16)
COUNT = 100
_START = """
import sys
from nova_lite.runtime import concurrency
concurrency.choose_before_imports([], default=sys.argv.pop(1))
from tests.support.api.image_service import main
main()
"""


class Server:
    """The image service in a process of its own."""

    def __init__(self, directory: pathlib.Path, concurrency: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _START, concurrency, str(directory)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"X-User": "alice", **headers}, encode_chunked=True)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def create(self) -> str:
        body = json.dumps({"name": "big", "disk_format": "raw", "container_format": "bare"})
        return str(json.loads(self.request("POST", "/images", body, **{"Content-Type": "application/json"})[1])["id"])

    def put(self, image_id: str, *, chunked: bool, count: int = COUNT) -> tuple[int, bytes]:
        sizes = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(count * MIB)}
        return self.request("PUT", f"/images/{image_id}/file", (CHUNK for _ in range(count)),
                        **{"Content-Type": "application/octet-stream", **sizes})

    def forget_peak(self) -> int:
        """What `peak` is from now on at least: what is resident now."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.peak()

    def peak(self) -> int:
        """The process's peak resident memory in bytes (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(sent)
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="module", params=["threads", "eventlet"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of the module: to start it takes longer than most of them."""
    started = Server(tmp_path_factory.mktemp("image"), request.param)
    yield started
    started.stop()


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """A server whose store is empty."""
    yield shared
    for file in (shared.directory / "images").iterdir():
        file.unlink()


@pytest.fixture
def warm(server: Server) -> Server:
    """A server that has already received a small image, so that lazy imports are done."""
    made = server.create()
    assert server.put(made, chunked=False, count=3)[0] == 204
    assert server.request("GET", f"/images/{made}/file")[0] == 200
    return server


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_100_mib_takes_no_memory(warm: Server, *, chunked: bool) -> None:
    made, before = warm.create(), warm.forget_peak()
    assert warm.put(made, chunked=chunked)[0] == 204
    assert warm.peak() - before < 20 * MIB
    shown = json.loads(warm.request("GET", f"/images/{made}")[1])
    expected = hashlib.sha512()
    for _ in range(COUNT):
        expected.update(CHUNK)
    assert (shown["status"], shown["size"], shown["os_hash_value"]) == ("active", COUNT * MIB, expected.hexdigest())


def test_a_download_of_100_mib_takes_no_memory(warm: Server) -> None:
    made = warm.create()
    assert warm.put(made, chunked=False)[0] == 204
    before, received = warm.forget_peak(), 0
    connection = http.client.HTTPConnection("127.0.0.1", warm.port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", f"/images/{made}/file", headers={"X-User": "alice"})
        answer = connection.getresponse()
        while chunk := answer.read(MIB):
            received += len(chunk)
    assert received == COUNT * MIB
    assert warm.peak() - before < 20 * MIB


def test_a_refused_upload_of_100_mib_takes_no_memory_and_is_answered(warm: Server) -> None:
    made = warm.create()
    assert warm.put(made, chunked=False, count=1)[0] == 204
    before = warm.forget_peak()
    status, body = warm.put(made, chunked=False)
    assert (status, "only a queued image" in body.decode()) == (409, True)
    assert warm.peak() - before < 20 * MIB


def _begin(server: Server, made: str, extra: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall((f"PUT /images/{made}/file HTTP/1.1\r\nHost: x\r\nX-User: alice\r\n"
                        f"Content-Type: application/octet-stream\r\n{extra}\r\n\r\n").encode())
    return connection


def _wait(server: Server, made: str, status: str) -> None:
    wait_until(lambda: json.loads(server.request("GET", f"/images/{made}")[1])["status"] == status, f"the image to be {status}")


@pytest.mark.parametrize(("extra", "data"), [
    (f"Content-Length: {50 * MIB}", CHUNK * 5), ("Transfer-Encoding: chunked", b"100000\r\n" + CHUNK + b"\r\n100000\r\nab"),
    ("Transfer-Encoding: chunked", b"100000\r\n" + CHUNK + b"\r\n"),
])
def test_a_client_that_disconnects_leaves_no_data(server: Server, extra: str, data: bytes) -> None:
    made = server.create()
    with _begin(server, made, extra) as connection:
        connection.sendall(data)
        _wait(server, made, "saving")
    _wait(server, made, "queued")
    assert list((server.directory / "images").iterdir()) == []


def test_clean_removes_what_a_killed_server_leaves(tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path, "threads")
    made = server.create()
    with _begin(server, made, f"Content-Length: {50 * MIB}") as connection:
        connection.sendall(CHUNK * 5)
        _wait(server, made, "saving")
        server.stop(signal.SIGKILL)
    store, database = Store(str(tmp_path / "images"), max_bytes=10**9), Database(f"sqlite:///{tmp_path}/cloud.sqlite")
    assert len(store.names()) == 1
    with database.writer() as session:
        assert clean(store, session, utcnow()) == ([], [])
        requeued, removed = clean(store, session, utcnow() + datetime.timedelta(hours=2))
        assert (requeued, len(removed), store.names()) == ([made], 1, [])
    with database.reader() as session:
        assert images.get(session, made, project_id="red").status == images.QUEUED
    database.close()
