# SPDX-License-Identifier: Apache-2.0
"""Signed messages: what is refused, in both directions, with the cloud's secret and with the keys of hosts."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oslo_messaging as messaging
import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc import signing, transport
from nova_lite.rpc.compute import OwnedGuests
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.interface import Interface, call, cast, serve
from nova_lite.rpc.signing import Refused, Signer, host_key
from tests.support.options import defaults
from tests.support.wait import wait_until

SECRET, OTHER = b"s" * 32, b"o" * 32
FORGED = "{~result~:~forged~}"
CTXT = Context(user_id="u", roles=frozenset({"admin"}))


class Probe(Interface):
    """A contract of the test."""

    topic, version = "probe", "1.0"

    @call(since="1.0", timeout_s=5)
    def request(self, ctxt: Context, *, word: str) -> str: ...

    @cast(since="1.0")
    def destroy(self, ctxt: Context, *, server_id: str) -> None: ...


class NewProbe(Interface):
    """A later release's."""

    topic, version = "probe", "1.1"

    @call(since="1.0", timeout_s=5)
    def measure(self, ctxt: Context) -> int: ...


class Listing(Interface):
    """With an answer that is made of payloads."""

    topic, version = "probe", "1.0"

    @call(since="1.0", timeout_s=5)
    def list(self, ctxt: Context) -> tuple[OwnedGuests, ...]: ...


class Endpoint:
    def __init__(self) -> None:
        self.destroyed: list[str] = []

    def request(self, ctxt: Context, *, word: str) -> str:
        if word == "refuse":
            raise errors.NoValidHost(reason="none {left}")
        if word == "fail":
            raise ZeroDivisionError("by zero")
        return f"{word} {ctxt.user_id}"

    def destroy(self, ctxt: Context, *, server_id: str) -> None:
        self.destroyed.append(server_id)


class Bus:
    """A bus that all parts of a test are on, each with a signer of its own; it carries what is signed as a broker does."""

    def __init__(self) -> None:
        self._url = f"inprocess:///{uuid.uuid4()}"
        self._servers: list[messaging.RPCServer] = []

    def connect(self, signer: Signer | None) -> messaging.transport.RPCTransport:
        conf = defaults()
        conf.register_opts(messaging.transport._transport_opts)
        conf.set_override("transport_url", self._url)
        made = transport.connect(conf)
        signing.attach(made, signer)
        return made

    def serve(self, signer: Signer | None, *, host: str = "h1") -> Endpoint:
        endpoint = Endpoint()
        self._servers.append(serve(Probe, self.connect(signer), host, [endpoint]))
        self._servers[-1].start()
        return endpoint

    def client(self, signer: Signer | None, *, host: str | None = "h1") -> Probe:
        return Probe.client(self.connect(signer), host=host)

    def raw(self, method: str, *, host: str = "h1", **arguments: Any) -> Any:
        """A call by somebody who can publish, in any shape."""
        target = messaging.Target(topic="probe", version="1.0", server=host)
        return messaging.get_rpc_client(self.connect(None), target, timeout=5).call({}, method, **arguments)

    def stop(self) -> None:
        for server in self._servers:
            server.stop()
            server.wait()


@pytest.fixture
def bus() -> Iterator[Bus]:
    made = Bus()
    yield made
    made.stop()


def test_signed_calls_casts_errors_and_failures_arrive_as_unsigned_ones(bus: Bus) -> None:
    endpoint = bus.serve(Signer(SECRET))
    client = bus.client(Signer(SECRET))
    client.destroy(CTXT, server_id="s")
    word = 'a "quoted" \\ ~ ` é \n word'
    assert client.request(CTXT, word=word) == f"{word} u"
    wait_until(lambda: endpoint.destroyed == ["s"])
    with pytest.raises(errors.NoValidHost) as refused:
        client.request(CTXT, word="refuse")
    assert (refused.value.text, refused.value.kwargs) == ("No valid host was found. none {left}", {"reason": "none {left}"})
    with pytest.raises(messaging.RemoteError) as failed:
        client.request(CTXT, word="fail")
    assert failed.value.exc_type == "ZeroDivisionError"
    with pytest.raises(errors.TooOld):
        NewProbe.client(bus.connect(Signer(SECRET)), host="h1").measure(CTXT)


def test_who_can_publish_but_has_no_secret_commands_nobody_and_is_logged_once(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = bus.serve(Signer(SECRET))
    forged = Signer(OTHER).request(topic="probe", server="h1", method="destroy", ctxt=CTXT.to_wire(), arguments={"server_id": "s"})
    shapes: list[tuple[str, dict[str, Any]]] = [
        ("destroy", {"server_id": "s"}), ("signed", dict(forged)), ("signed", {**forged, "mac": ""}), ("signed", {**forged, "key": ""}),
        ("signed", {**forged, "mac": None}), ("signed", {"body": forged["body"]}), ("signed", {**forged, "body": "é?"}), ("signed", {**forged, "mac": "é"}),
    ]
    with caplog.at_level(logging.WARNING):
        for method, arguments in shapes * 3:
            with pytest.raises(errors.Unavailable):
                bus.raw(method, **arguments)
    assert endpoint.destroyed == []
    assert len([record for record in caplog.records if "refused" in record.message]) == 1


def test_a_message_is_taken_once_unchanged_and_by_its_addressee(bus: Bus) -> None:
    first, second = bus.serve(Signer(SECRET)), bus.serve(Signer(SECRET), host="h2")
    request = Signer(SECRET).request(topic="probe", server="h1", method="destroy", ctxt=CTXT.to_wire(), arguments={"server_id": "s"})
    changed = {**request, "body": replaced(request["body"], "~s~", "~t~")}

    for attempt in (changed, {**request, "key": "h2"}):
        with pytest.raises(errors.Unavailable):
            bus.raw("signed", **attempt)
    with pytest.raises(errors.Unavailable):
        bus.raw("signed", host="h2", **request)
    bus.raw("signed", **request)
    with pytest.raises(errors.Unavailable, match="taken before"):
        bus.raw("signed", **request)
    assert (first.destroyed, second.destroyed) == (["s"], [])


@pytest.mark.parametrize(("age_s", "is_taken"), [(-121, False), (-119, True), (599, True), (601, False)])
def test_messages_from_another_time_are_refused(age_s: float, is_taken: bool) -> None:
    now = [1000.0]
    sender, receiver = Signer(SECRET, clock=lambda: 1000.0), Signer(SECRET, clock=lambda: now[0])
    request = sender.request(topic="probe", server="h1", method="destroy", ctxt={}, arguments={})
    now[0] += age_s
    assert _is_taken(receiver, request) is is_taken


def test_a_message_is_not_taken_again_for_as_long_as_it_is_young_enough() -> None:
    now = [1000.0]
    receiver = Signer(SECRET, clock=lambda: now[0])
    for _ in range(20):
        request = Signer(SECRET, clock=lambda: now[0] + 119).request(topic="probe", server="h1", method="destroy", ctxt={}, arguments={})
        first = _is_taken(receiver, request)
        now[0] += 700
        assert (first, _is_taken(receiver, request)) == (True, False)
        now[0] += 11


def replaced(body: str, old: str, new: str) -> str:
    assert old in body
    return body.replace(old, new)


def _is_taken(receiver: Signer, request: dict[str, str]) -> bool:
    try:
        receiver.open(dict(request), topic="probe", server="h1", from_hosts={})
    except Refused:
        return False
    return True


@dataclasses.dataclass
class Forger:
    """Answers for a server, without the secret."""

    answer: Callable[[dict[str, Any]], Any]

    def signed(self, ctxt: dict[str, Any], **wire: Any) -> Any:
        return self.answer(wire)


def _answer_of_another_request(_wire: dict[str, Any]) -> list[str]:
    signer = Signer(SECRET)
    other = signer.request(topic="probe", server="h1", method="request", ctxt={}, arguments={})
    return signer.answer(other, {"result": "old"})


def _raise_not_found(_wire: dict[str, Any]) -> None:
    raise errors.NotFound(what="Server", id="s")


@pytest.mark.parametrize("answer", [
    lambda wire: "plain", lambda wire: [FORGED, ""], lambda wire: [FORGED, wire["mac"]], lambda wire: ["?", ""],
    lambda wire: Signer(OTHER).answer(wire, {"result": "forged"}), _answer_of_another_request, _raise_not_found])
def test_an_answer_that_the_server_did_not_sign_is_refused(bus: Bus, answer: Callable[[dict[str, Any]], Any]) -> None:
    target = messaging.Target(topic="probe", server="h1", version="1.0")
    forger = messaging.get_rpc_server(bus.connect(None), target, [Forger(answer)], executor="threading")
    forger.start()
    with pytest.raises(errors.ServiceDown, match="not signed"):
        bus.client(Signer(SECRET)).request(CTXT, word="x")
    forger.stop()
    forger.wait()


@pytest.mark.parametrize("answer", [
    {}, {"error": []}, {"error": ["annotations", "x", {}]}, {"error": [5, "x", {}]}, {"error": ["NotFound", "x", 5]},
    {"exception": ["a", "b", "c", "d", "e"]}, {"result": 5}, {"result": [[]]}], ids=str)
def test_an_answer_that_cannot_be_read_is_one_of_a_service_that_is_down(bus: Bus, answer: dict[str, Any]) -> None:
    """As of a host that was taken over, with its key."""
    server = messaging.get_rpc_server(bus.connect(None), messaging.Target(topic="probe", server="h1", version="1.0"),
                                      [Forger(lambda wire: Signer(SECRET).answer(wire, answer))], executor="threading")
    server.start()
    with pytest.raises(errors.ServiceDown, match="cannot be read"):
        Listing.client(bus.connect(Signer(SECRET)), host="h1").list(CTXT)
    server.stop()
    server.wait()


@pytest.mark.parametrize(("client", "server"), [
    (Signer(SECRET, is_required=False), None), (None, Signer(SECRET, is_required=False)),
    (Signer(SECRET, is_required=False), Signer(SECRET)), (Signer(SECRET), Signer(SECRET, is_required=False))])
def test_daemons_with_and_without_the_secret_understand_each_other_while_it_is_distributed(
        bus: Bus, client: Signer | None, server: Signer | None) -> None:
    endpoint = bus.serve(server)
    bus.client(client).destroy(CTXT, server_id="s")
    assert bus.client(client).request(CTXT, word="x") == "x u"
    wait_until(lambda: endpoint.destroyed == ["s"], "the cast to be taken: another thread may answer the call before")
    with pytest.raises(errors.NoValidHost):
        bus.client(client).request(CTXT, word="refuse")


def test_a_daemon_without_the_secret_learns_why_it_is_refused(bus: Bus) -> None:
    bus.serve(Signer(SECRET))
    with pytest.raises(errors.Unavailable, match="request is not signed"):
        bus.client(None).request(CTXT, word="x")


def test_a_host_takes_orders_with_its_own_key_and_can_give_none_to_others(bus: Bus) -> None:
    key = host_key(SECRET, "h1")
    first, second = bus.serve(Signer(key, host="h1")), bus.serve(Signer(host_key(SECRET, "h2"), host="h2"), host="h2")
    control = Signer(SECRET)
    assert bus.client(control).request(CTXT, word="x") == "x u"
    assert bus.client(control, host="h2").request(CTXT, word="x") == "x u"

    taken_over = Signer(key, host="h1")
    taken_over_request = taken_over.request(topic="probe", server="h1", method="destroy", ctxt={}, arguments={"server_id": "s"})
    for host in ("h2", ""):
        body = replaced(taken_over_request["body"], "~h1~", f"~{host}~")
        mac = taken_over._mac("h1", b"request", body.encode())
        with pytest.raises(errors.Unavailable):
            bus.raw("signed", host="h2", key="h1", body=body, mac=mac)
    assert (first.destroyed, second.destroyed) == ([], [])


def report(host: str) -> dict[str, Any]:
    return {"report": {"host": host}}


@pytest.mark.parametrize(("method", "arguments", "is_taken"), [
    ("report_step", report("h1"), True), ("report_step", report("h2"), False), ("run", {"action_id": 1}, False),
    ("report", {"status": {"agent": "h1", "inventories": [{"host": "h1"}]}}, True),
    ("report", {"status": {"agent": "h1", "inventories": [{"host": "h2"}]}}, False),
    ("report", {"status": {"agent": "h2", "inventories": []}}, False),
    ("power_changed", {"host": "h2", "states": []}, False), ("network_state", {"agent": "h2"}, False), ("cloud_addresses", {}, True),
])
def test_a_hosts_key_is_enough_to_report_of_that_host(method: str, arguments: dict[str, Any], is_taken: bool) -> None:
    worker = Signer(host_key(SECRET, "h1"), host="h1")
    request = worker.request(topic="conductor", server="", method=method, ctxt={}, arguments=arguments)
    try:
        Signer(SECRET).open(dict(request), topic="conductor", server="c1", from_hosts=ConductorRpc.from_hosts)
        taken = True
    except Refused:
        taken = False
    assert taken is is_taken


@pytest.mark.parametrize(("text", "expected"), [
    ("a" * 64 + "\n", ""), (f"h1:{'a' * 64}", "h1"), ("", None), ("secret", None), ("a" * 63, None), (f"h2:{'a' * 64}", None)])
def test_a_key_file_has_the_secret_or_this_hosts_key(tmp_path: Path, text: str, expected: str | None) -> None:
    (tmp_path / "key").write_text(text)
    (tmp_path / "nova.conf").write_text(f"[DEFAULT]\nhost = h1\ntransport_url = rabbit://127.0.0.1:1/\n[rpc]\nsecret_file = {tmp_path}/key\n")
    conf = options.load([], conf=cfg.ConfigOpts(), files=[str(tmp_path / "nova.conf")])
    conf.register_opts(messaging.transport._transport_opts)
    if expected is None:
        with pytest.raises(errors.WrongKeyFile):
            signing.load(conf)
    else:
        signer = signing.load(conf)
        assert signer is not None
        assert signer._host == expected
