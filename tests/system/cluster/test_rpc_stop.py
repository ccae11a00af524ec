# SPDX-License-Identifier: Apache-2.0
"""RPC on a real broker that is slow to take or lose things: servers that stop under load, and a broker that blocks publishers."""

from __future__ import annotations

import functools
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import oslo_messaging as messaging
import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.api.wsgi.deferred_casts import DeferredCasts
from nova_lite.context import Context, system_context
from nova_lite.rpc import stopping, transport
from nova_lite.rpc.interface import Interface, call, cast, serve
from nova_lite.rpc.scheduler import PlacementRequest, SchedulerRpc
from tests.support.wait import wait_until
from tools.lib.services import RabbitMQ

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
STOPS = 12
CALLERS = 8
# Calls between two stops, so that each stop falls into many of them.
BETWEEN = 60
# After so long a quorum queue survives the broker's end by kill -9.
KEPT_S = 5


class EchoRpc(Interface):
    """Calls that are answered at once."""

    topic, version = "echo", "1.0"

    @call(since="1.0", timeout_s=30)
    def echo(self, ctxt: Context, *, number: int) -> int:
        """The number."""
        ...


class NoteRpc(Interface):
    """Casts that are noted down."""

    topic, version = "note", "1.0"

    @cast(since="1.0")
    def note(self, ctxt: Context, *, number: int) -> None:
        """Note the number."""
        ...


class Note:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def note(self, ctxt: Context, *, number: int) -> None:
        self.numbers.append(number)


class Echo:
    """Takes a moment for each, as a scheduler does: some are always being handled when the server stops."""

    def __init__(self) -> None:
        self._moment = threading.Event()

    def echo(self, ctxt: Context, *, number: int) -> int:
        self._moment.wait(0.02)
        return number


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


def connect(broker: RabbitMQ, directory: Path) -> messaging.transport.RPCTransport:
    nova_conf = directory / "nova.conf"
    nova_conf.write_text(f"[DEFAULT]\ntransport_url = {broker.url}\n")
    return transport.connect(options.load([], conf=cfg.ConfigOpts(), files=[str(nova_conf)]))


@pytest.fixture
def _sockets() -> Iterator[None]:
    """kombu leaves the sockets of its tries to connect to the garbage collector: here, where their warnings are ignored."""
    yield
    gc.collect()


class Callers:
    """Threads that call again and again."""

    def __init__(self, bus: messaging.transport.RPCTransport) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self._client, self._lock, self._stopping = EchoRpc.client(bus), threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                assert self._client.echo(system_context(), number=number) == number
            except errors.ServiceDown as lost:
                self.lost.append(lost.text)
            with self._lock:
                self.answered += 1

    def wait_for_more(self) -> None:
        enough = self.answered + BETWEEN
        wait_until(lambda: self.answered >= enough, "answers")

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def test_no_call_is_lost_when_servers_stop_under_load(broker: RabbitMQ, tmp_path: Path) -> None:
    serving, calling = connect(broker, tmp_path), connect(broker, tmp_path)
    server = serve(EchoRpc, serving, "echo-0", [Echo()])
    server.start()
    callers = Callers(calling)
    try:
        for number in range(1, STOPS + 1):
            callers.wait_for_more()
            stopping.stop(server)
            server = serve(EchoRpc, serving, f"echo-{number}", [Echo()])
            server.start()
        callers.wait_for_more()
    finally:
        callers.stop()
        stopping.stop(server)
        serving.cleanup()
        calling.cleanup()
    assert callers.lost == []


@pytest.mark.timed
def test_an_answer_of_a_scheduler_that_is_lost_is_noticed_in_seconds(broker: RabbitMQ, tmp_path: Path) -> None:
    """Nobody serves the request, as when the one that took it was killed."""
    bus, began = connect(broker, tmp_path), time.monotonic()
    request = PlacementRequest(server_id="s", project_id="p", vcpus=1, ram_mb=1, disk_gb=1)
    with pytest.raises(errors.ServiceDown):
        SchedulerRpc.client(bus).pick_host(system_context(), request=request)
    assert time.monotonic() - began < 15
    bus.cleanup()


@pytest.mark.timed
@pytest.mark.usefixtures("_sockets")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_calls_are_answered_though_the_broker_was_killed_right_after_the_processs_first_call(tmp_path: Path) -> None:
    """RabbitMQ 3.10 brings a quorum queue that was declared within its last seconds back without a leader, for a minute and more."""
    with RabbitMQ(tmp_path / "rabbitmq") as broker:
        serving, calling = connect(broker, tmp_path), connect(broker, tmp_path)
        server, client = serve(EchoRpc, serving, "echo", [Echo()]), EchoRpc.client(calling)
        server.start()
        served_since = time.monotonic()
        wait_until(lambda: time.monotonic() - served_since > KEPT_S, "the broker to keep the queues of requests")
        assert client.echo(system_context(), number=1) == 1
        broker.kill9()
        broker.start()
        assert client.echo(system_context(), number=2) == 2  # within the call's 30 s
        stopping.stop(server)
        serving.cleanup()
        calling.cleanup()


@pytest.mark.timed
@pytest.mark.usefixtures("_sockets")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_answers_nothing_is_left_in_bounded_time(broker: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_ANSWERED_WITHIN_S", 1.0)
    bus = connect(broker, tmp_path)
    client = NoteRpc.client(bus, retries=1)
    client.note(system_context(), number=1)
    pid, began = int(broker.ctl("eval", "os:getpid().").strip().strip('"')), time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(messaging.MessageDeliveryFailure):
            client.note(system_context(), number=2)
        assert time.monotonic() - began < 20
    finally:
        os.kill(pid, signal.SIGCONT)
    bus.cleanup()


@pytest.mark.timed
def test_a_server_stops_though_its_broker_is_gone(tmp_path: Path) -> None:
    with RabbitMQ(tmp_path / "rabbitmq") as broker:
        bus = connect(broker, tmp_path)
        server = serve(EchoRpc, bus, "echo", [Echo()])
        server.start()
        broker.kill9()
        began = time.monotonic()
        stopping.stop(server)
        assert time.monotonic() - began < 12


@pytest.mark.timed
def test_requests_go_on_while_the_broker_blocks_publishers_and_their_casts_arrive_afterwards(broker: RabbitMQ, tmp_path: Path) -> None:
    """As RabbitMQ does while its memory or disk is short."""
    serving, sending, notes = connect(broker, tmp_path), connect(broker, tmp_path), Note()
    server, client, casts = serve(NoteRpc, serving, "notes", [notes]), NoteRpc.client(sending), DeferredCasts(limit_s=1.0)
    server.start()
    casts.send(lambda: client.note(system_context(), number=0), request_id="req-0")
    wait_until(lambda: notes.numbers == [0])
    broker.ctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        began = time.monotonic()
        for number in (1, 2, 3):
            casts.send(functools.partial(client.note, system_context(), number=number), request_id=f"req-{number}")
        took_s, arrived = time.monotonic() - began, list(notes.numbers)
    finally:
        broker.ctl("set_vm_memory_high_watermark", "0.4")
    assert arrived == [0]
    assert took_s < 10
    wait_until(lambda: list(dict.fromkeys(notes.numbers)) == [0, 1, 2, 3])
    stopping.stop(server)
    serving.cleanup()
    sending.cleanup()
