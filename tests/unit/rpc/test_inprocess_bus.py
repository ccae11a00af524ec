# SPDX-License-Identifier: Apache-2.0
"""The bus within one process: calls, casts, errors and time-outs as on a real one."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import oslo_messaging as messaging
import pytest

from nova_lite import errors
from nova_lite.conductor.engine import passing
from nova_lite.context import Context
from nova_lite.rpc import transport
from nova_lite.rpc.interface import Interface, call, cast, serve
from tests.support.options import defaults

Bus = tuple[Any, Callable[[str], "Endpoint"]]
CTXT = Context(user_id="u", roles=frozenset({"member"}))


class Probe(Interface):
    """A contract of the test."""

    topic, version = "probe", "1.0"

    @call(since="1.0", timeout_s=0.5)
    def request(self, ctxt: Context, *, word: str) -> str: ...

    @cast(since="1.0")
    def send(self, ctxt: Context, *, word: str) -> None: ...


class NewProbe(Interface):
    """A later release's contract of the same servers."""

    topic, version = "probe", "1.1"

    @call(since="1.1", timeout_s=2)
    def measure(self, ctxt: Context) -> int: ...


class OtherProbe(Interface):
    """A still later one, of a new major version."""

    topic, version = "probe", "2.0"

    @call(since="2.0", timeout_s=2)
    def measure(self, ctxt: Context) -> int: ...


class Endpoint:
    def __init__(self, name: str) -> None:
        self.name, self.received, self.heard = name, [], threading.Event()  # type: ignore[var-annotated]

    def request(self, ctxt: Context, *, word: str) -> str:
        if word == "refuse":
            raise errors.NoValidHost(reason="none {left}")
        if word == "hang":
            self.heard.wait(2)
        return f"{self.name} {word} {ctxt.user_id}"

    def send(self, ctxt: Context, *, word: str) -> None:
        self.received.append(word)
        self.heard.set()


@pytest.fixture
def bus() -> Iterator[Bus]:
    conf = defaults()
    conf.register_opts(messaging.transport._transport_opts)
    conf.set_override("transport_url", f"inprocess:///{uuid.uuid4()}")
    made = transport.connect(conf)
    servers: list[Any] = []

    def start(name: str) -> Endpoint:
        endpoint = Endpoint(name)
        servers.append(serve(Probe, made, name, [endpoint]))
        servers[-1].start()
        return endpoint

    yield made, start
    for server in servers:
        server.stop()
        server.wait()


def test_a_call_reaches_the_named_server_and_comes_back(bus: Bus) -> None:
    made, start = bus
    start("a")
    start("b")
    assert Probe.client(made, host="b").request(CTXT, word="x") == "b x u"


def test_any_server_of_the_topic_answers_in_turn(bus: Bus) -> None:
    made, start = bus
    start("a")
    start("b")
    answers = {Probe.client(made).request(CTXT, word="x") for _ in range(4)}
    assert answers == {"a x u", "b x u"}


def test_an_error_of_ours_arrives_as_itself(bus: Bus) -> None:
    made, start = bus
    start("a")
    with pytest.raises(errors.NoValidHost) as refused:
        Probe.client(made).request(CTXT, word="refuse")
    assert refused.value.text == "No valid host was found. none {left}"


def test_a_call_that_nobody_answers_ends_in_time(bus: Bus) -> None:
    made, start = bus
    with pytest.raises(errors.ServiceDown):
        Probe.client(made, host="nobody").request(CTXT, word="x")
    start("a")
    with pytest.raises(errors.ServiceDown):
        Probe.client(made, host="a").request(CTXT, word="hang")


def test_a_cast_sent_before_its_server_is_up_is_delivered(bus: Bus) -> None:
    made, start = bus
    Probe.client(made, host="late").send(CTXT, word="early")
    late = start("late")
    assert late.heard.wait(10)
    assert late.received == ["early"]


def test_the_contract_is_checked_when_serving_starts(bus: Bus) -> None:
    made, _ = bus

    class Wrong:
        def request(self, ctxt: Context, *, word: int) -> str:
            return ""

        def send(self, ctxt: Context, *, word: str) -> None:
            pass

    with pytest.raises(TypeError, match="signature differs"):
        serve(Probe, made, "a", [Wrong()])
    with pytest.raises(TypeError, match="0 endpoints"):
        serve(Probe, made, "a", [])
    with pytest.raises(TypeError, match="2 endpoints"):
        serve(Probe, made, "a", [Endpoint("x"), Endpoint("y")])


@pytest.mark.parametrize("interface", [NewProbe, OtherProbe], ids=["minor version", "major version"])
def test_a_server_of_an_earlier_release_is_named_as_too_old_and_logs_one_line(bus: Bus, interface: Any, caplog: pytest.LogCaptureFixture) -> None:
    made, start = bus
    start("a")
    with pytest.raises(errors.TooOld) as refused:
        interface.client(made, host="a").measure(CTXT)
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]
    assert f"'measure' of version '{interface.version}' is a request of another release: upgrade the daemon that sent it" in caplog.text
    assert refused.value.text == "nova-probe on a is of an earlier release and does not know measure: it is to be upgraded"
    assert (refused.value.http_status, passing.is_passing(refused.value)) == (503, True)


@pytest.mark.parametrize("message", [
    {"method": "measure"}, {"method": "note_unknown"}, {"method": "request", "version": "9.0"}, {"method": "request", "namespace": "n"}])
def test_a_request_that_is_not_known_starts_no_thread_that_reports_work(bus: Bus, message: dict[str, str]) -> None:
    """oslo.messaging begins such a thread before it looks for the method, and ends it only where there is one."""
    made, _ = bus
    incoming = SimpleNamespace(ctxt={}, message=message, client_timeout=2, heartbeat=lambda: None)
    with pytest.raises(messaging.ExpectedException):
        serve(Probe, made, "b", [Endpoint("b")]).dispatcher.dispatch(incoming)
    assert not [thread for thread in threading.enumerate() if "_watchdog" in thread.name]


def test_the_same_over_a_broker_which_sends_the_name_of_the_error_only(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    made, start = bus
    client = Probe.client(made, host="a")
    error = messaging.RemoteError("UnsupportedVersion", "Endpoint does not support RPC version 1.0")
    monkeypatch.setattr(made, "_send", lambda *args, **kwargs: (_ for _ in ()).throw(error))
    with pytest.raises(errors.TooOld, match="nova-probe on a"):
        client.request(CTXT, word="x")
    error = messaging.RemoteError("OperationalError", "the database is away")
    with pytest.raises(messaging.RemoteError):
        client.request(CTXT, word="x")
