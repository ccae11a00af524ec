# SPDX-License-Identifier: Apache-2.0
"""Messages on a real broker: who has its password, but not the cloud's secret, commands nothing."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import oslo_messaging as messaging
import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.context import Context, system_context
from nova_lite.rpc import transport
from nova_lite.rpc.interface import Interface, call, cast, serve
from tests.support.system.daemons import shared_broker
from tests.support.wait import wait_until
from tools.lib.services import RabbitMQ

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
SECRET = "5" * 64


class WorkerRpc(Interface):
    """A worker's."""

    topic, version = "worker", "1.0"

    @cast(since="1.0")
    def destroy(self, ctxt: Context, *, server_id: str) -> None:
        """Destroy it."""

    @call(since="1.0", timeout_s=10)
    def destroyed(self, ctxt: Context) -> tuple[str, ...]:
        """Those that were."""
        ...


class Worker:
    def __init__(self) -> None:
        self._destroyed: list[str] = []

    def destroy(self, ctxt: Context, *, server_id: str) -> None:
        self._destroyed.append(server_id)

    def destroyed(self, ctxt: Context) -> tuple[str, ...]:
        return tuple(self._destroyed)


@pytest.fixture(scope="module")
def broker() -> RabbitMQ:
    return shared_broker()


def connect(broker: RabbitMQ, directory: Path, *, secret: str) -> messaging.transport.RPCTransport:
    (directory / "key").write_text(secret)
    nova_conf = directory / "nova.conf"
    nova_conf.write_text(f"[DEFAULT]\ntransport_url = {broker.url}\n[rpc]\nsecret_file = {directory / 'key' if secret else ''}\n")
    return transport.connect(options.load([], conf=cfg.ConfigOpts(), files=[str(nova_conf)]))


@pytest.fixture
def worker(broker: RabbitMQ, tmp_path: Path) -> Iterator[WorkerRpc]:
    """A client with the secret, of a server with it."""
    bus = connect(broker, tmp_path, secret=SECRET)
    server = serve(WorkerRpc, bus, "h1", [Worker()])
    server.start()
    yield WorkerRpc.client(bus, host="h1")
    server.stop()
    server.wait()
    bus.cleanup()


class Copies:
    """What goes to the worker, read beside it by somebody with the broker's password."""

    def __init__(self, broker: RabbitMQ) -> None:
        self._connection = kombu.Connection(broker.amqp_url())
        self._exchange = kombu.Exchange("openstack", type="topic", passive=True)
        self.bodies: list[dict[str, Any]] = []
        self._queue = kombu.Queue("copies", self._exchange, routing_key="worker.h1", durable=False, auto_delete=True)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Copies:
        self._queue(self._connection.default_channel).declare()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._connection.close()

    def publish(self, body: dict[str, Any]) -> None:
        with self._connection.clone() as connection:
            connection.Producer().publish(body, exchange=self._exchange, routing_key="worker.h1", declare=[])

    def _read(self) -> None:
        with self._connection.Consumer(self._queue, callbacks=[self._take]):
            while not self._ending.is_set():
                with contextlib.suppress(TimeoutError):
                    self._connection.drain_events(timeout=0.2)

    def _take(self, body: Any, message: Any) -> None:
        message.ack()
        self.bodies.append(json.loads(body) if isinstance(body, str) else body)


def test_a_message_without_the_secret_a_changed_and_a_repeated_one_destroy_nothing(
        broker: RabbitMQ, worker: WorkerRpc, tmp_path_factory: pytest.TempPathFactory) -> None:
    ctxt = system_context()
    for number, secret in enumerate(("", "6" * 64)):
        stranger = connect(broker, tmp_path_factory.mktemp("stranger"), secret=secret)
        WorkerRpc.client(stranger, host="h1").destroy(ctxt, server_id=f"forged {number}")
        with pytest.raises(errors.Unavailable):  # and so the casts before it have been handled
            WorkerRpc.client(stranger, host="h1").destroyed(ctxt)
        stranger.cleanup()
    with Copies(broker) as copies:
        worker.destroy(ctxt, server_id="right")
        wait_until(lambda: copies.bodies, "a copy of the message")
        whole = copies.bodies[0]
        for number, change in enumerate((lambda body: body, lambda body: body.replace("right", "wrong"))):
            inner = json.loads(whole["oslo.message"])
            inner["_unique_id"] = f"{number:032x}"  # oslo.messaging drops what it has seen itself
            inner["args"]["body"] = change(inner["args"]["body"])
            copies.publish({**whole, "oslo.message": json.dumps(inner)})
        wait_until(lambda: len(copies.bodies) >= 3, "the copies of the changed messages")
        assert worker.destroyed(ctxt) == ("right",)


def test_a_forged_answer_is_not_believed(broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> None:
    impostor = connect(broker, tmp_path_factory.mktemp("impostor"), secret="")
    server = serve(WorkerRpc, impostor, "h2", [Worker()])
    server.start()
    bus = connect(broker, tmp_path_factory.mktemp("caller"), secret=SECRET)
    with pytest.raises(errors.ServiceDown, match="not signed"):
        WorkerRpc.client(bus, host="h2").destroyed(system_context())
    server.stop()
    server.wait()
    for one in (bus, impostor):
        one.cleanup()
