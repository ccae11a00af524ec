# SPDX-License-Identifier: Apache-2.0
"""Each worker of nova-api answers by itself, whatever becomes of the others; on eventlet and on native threads."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.system.forks import ForkedPrograms
from tests.support.wait import wait_until
from tools.lib.daemons import Programs, environment
from tools.lib.services import free_port
from tools.lib.services.processes import descendants

WORKERS = 2
ANSWERED_S = 15
NO_BROKER = "rabbit://127.0.0.1:1/"  # these requests need none


class Api:
    """nova-api alone, over SQLite."""

    def __init__(self, directory: Path, *, concurrency: str) -> None:
        self.port = free_port()
        self._programs = Programs() if concurrency == "eventlet" else ForkedPrograms()
        self._process = self._programs.process("nova-api", directory)
        conf = directory / "nova.conf"
        conf.write_text(f"""
[DEFAULT]
concurrency = {concurrency}
state_path = {directory}/state
transport_url = {NO_BROKER}
paste_config = {ROOT}/etc/api-paste.ini
[api]
listen = 127.0.0.1
port = {self.port}
workers = {WORKERS}
[database]
connection = sqlite:///{directory}/nova.sqlite
""")
        self._conf = str(conf)

    def start(self) -> None:
        self._programs.output("nova-lite", "db", "sync", "--config-file", self._conf)
        self._process.start([self._programs.path("nova-api"), "--config-file", self._conf], env=environment())
        wait_until(self.is_answering)
        wait_until(lambda: len(self.workers()) == WORKERS)

    def workers(self) -> list[int]:
        return [child.pid for child in descendants(self._process.pid)]

    def end(self) -> None:
        self._process.kill9()

    def is_answering(self) -> bool:
        """One request on a connection of its own."""
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERED_S)
        with contextlib.closing(wire), contextlib.suppress(OSError, http.client.HTTPException):
            wire.request("GET", "/", headers={"Connection": "close"})
            return wire.getresponse().status in (200, 300)
        return False


@pytest.fixture(scope="module", params=["eventlet", "threads"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(tmp_path_factory.mktemp(f"api-{request.param}"), concurrency=request.param)
    try:
        made.start()
        yield made
    finally:
        made.end()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """That process does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _has_stopped(pid))
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _has_stopped(pid: int) -> bool:
    """On a busy machine its threads go on for a while, and may accept a connection yet."""
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in Path(f"/proc/{pid}/task").iterdir())


def test_one_worker_answers_while_the_other_does_nothing(api: Api) -> None:
    for worker in api.workers() * 2:
        with stopped(worker):
            assert all(api.is_answering() for _ in range(20))


def test_a_worker_that_stops_or_dies_amid_requests_takes_nothing_from_the_others(api: Api) -> None:
    """It may hold whatever it shares with them, such as the lock of the log."""
    is_over = threading.Event()

    def knock() -> None:
        while not is_over.is_set():
            api.is_answering()

    clients = [threading.Thread(target=knock) for _ in range(6)]
    for client in clients:
        client.start()
    try:
        for turn in range(30):
            with stopped(api.workers()[turn % WORKERS]):
                assert [api.is_answering() for _ in range(3)].count(True) >= 2
        for _ in range(5):
            victim = api.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(set(api.workers()) - {victim}) == WORKERS)  # noqa: B023 - called at once
    finally:
        is_over.set()
        for client in clients:
            client.join()
    assert all(api.is_answering() for _ in range(20))
