# SPDX-License-Identifier: Apache-2.0
"""Clients that send nothing, or slowly, cost no thread and are ended (finding 4)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from nova_lite.runtime.http.limits import Limits
from tests.support import http_wires
from tests.support.wait import wait_until

SOON = Limits(head_s=0.3, grace_s=0.3, keep_alive_s=0.3, rate=1_000_000)


@pytest.mark.timed
def test_silent_connections_do_not_delay_others() -> None:
    with http_wires.serving(threads=2) as port, contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(http_wires.connect(port))
        began = time.monotonic()
        assert http_wires.get(port).endswith(b"GET /x 0.")
        assert time.monotonic() - began < 1


@pytest.mark.timed
@pytest.mark.parametrize("length", [b"1000", b"100000000"])
def test_slow_bodies_do_not_delay_reads_and_writes(length: bytes) -> None:
    with http_wires.serving(threads=2) as port, contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(http_wires.connect(port, b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: " + length + b"\r\n\r\na"))
        began = time.monotonic()
        assert http_wires.get(port).endswith(b"GET /x 0.")
        with http_wires.connect(port, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc") as wire:
            http_wires.receive_until(wire, b"POST /x 3.")
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(("sent", "answer"), [
    (b"", b""), (b"GET / HTTP/1.1\r\nHo", b"HTTP/1.1 408 "), (b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", b"HTTP/1.1 408 ")])
def test_a_connection_whose_request_does_not_come_is_ended(sent: bytes, answer: bytes) -> None:
    with http_wires.serving(limits=SOON) as port, http_wires.connect(port, sent) as wire:
        assert http_wires.receive_all(wire).startswith(answer)


def test_a_byte_now_and_then_gives_no_more_time() -> None:
    ended = threading.Event()

    def drip(wire: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.05):
                wire.sendall(b"a")

    with http_wires.serving(limits=SOON) as port, http_wires.connect(port, b"GET / HTTP/1.1\r\nX-A: ") as wire:
        dripping = threading.Thread(target=drip, args=(wire,))
        dripping.start()
        assert http_wires.receive_until(wire, b'in time"}}').startswith(b"HTTP/1.1 408 ")
        ended.set()
        dripping.join()


def test_an_upload_below_the_least_rate_is_ended() -> None:
    outcome: list[str] = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            outcome.append(str(error))
        start_response("200 OK", [])
        return []

    with http_wires.serving(app, limits=SOON) as port, http_wires.connect(
            port, b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nabc"):
        wait_until(lambda: outcome == ["the client is too slow"], "the upload to be ended")


@pytest.mark.timed
def test_a_client_that_does_not_take_its_answer_costs_no_thread() -> None:
    def large(environ, start_response):
        start_response("200 OK", [])
        return [b"a" * (16 << 20) if environ["PATH_INFO"] == "/large" else b"small."]

    with http_wires.serving(large, threads=2) as port, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(http_wires.connect(port, b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")) for _ in range(8)]
        began = time.monotonic()
        assert http_wires.get(port).endswith(b"small.")
        assert time.monotonic() - began < 2
        got = b""
        while len(got) < 16 << 20:
            got += wires[0].recv(1 << 20)
        assert got.startswith(b"HTTP/1.1 200 OK")


def test_beyond_the_bound_of_an_address_the_one_that_is_silent_for_longest_goes() -> None:
    with http_wires.serving(limits=Limits(connections_of_address=3)) as port, contextlib.ExitStack() as stack:
        first = stack.enter_context(http_wires.connect(port))
        for _ in range(2):
            stack.enter_context(http_wires.connect(port))
        assert http_wires.get(port).endswith(b"GET /x 0.")
        assert http_wires.receive_all(first) == b""


def test_an_application_sees_that_its_client_has_gone() -> None:
    seen: list[bool] = []
    closed = threading.Event()

    def app(environ, start_response):
        seen.append(environ["nova.is_client_gone"]())
        assert closed.wait(10)
        wait_until(environ["nova.is_client_gone"], "the client to be gone")
        seen.append(True)
        start_response("200 OK", [])
        return []

    with http_wires.serving(app) as port:
        wire = http_wires.connect(port, b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: seen == [False], "the request to begin")
        wire.close()
        closed.set()
        wait_until(lambda: seen == [False, True], "the application to notice")
