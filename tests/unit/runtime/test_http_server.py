# SPDX-License-Identifier: Apache-2.0
"""The HTTP server answers what comes, in order, and ends on request, at any time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from nova_lite.runtime import concurrency
from nova_lite.runtime.http.front import Front
from nova_lite.runtime.http.limits import Limits
from tests.support import http_wires


def _app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


def test_a_server_that_is_to_end_before_it_serves_ends() -> None:
    listener = concurrency.listen("127.0.0.1", 0)
    server = concurrency.HttpServer(_app, listener, threads=2)
    server.stop()
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    serving.join(timeout=20)
    assert not serving.is_alive()


def test_a_request_to_end_is_written_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its descriptor, closed at the end, would be written: an error, or another file's that has its number by then."""
    front = Front(concurrency.listen("127.0.0.1", 0), Limits(), lambda connection: None, look=lambda: None)
    was_ending: list[bool] = []
    write = os.eventfd_write

    def observed(number: int, value: int) -> None:
        was_ending.append(front.is_ending)
        write(number, value)

    monkeypatch.setattr(os, "eventfd_write", observed)
    running = threading.Thread(target=front.run, daemon=True)
    running.start()
    front.stop()
    running.join(timeout=20)
    front.close_all()
    assert (was_ending, front.is_ending) == ([False], True)


def _echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    answer = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}".encode()
    chunks = [answer] * int(environ.get("HTTP_X_REPEAT", 1))
    if len(chunks) > 1:
        chunks.append(b"end")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(sum(map(len, chunks))))])
    return chunks


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server of two threads."""
    with http_wires.serving(_echo, threads=2) as port:
        yield port


@pytest.mark.timed
def test_more_connections_than_threads_are_all_answered_while_each_stays_open(port: int) -> None:
    wires = [http_wires.connect(port) for _ in range(8)]
    started = time.monotonic()
    for turn in range(3):
        for number, wire in enumerate(wires):
            wire.sendall(f"GET /{turn}/{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert http_wires.receive_until(wire, f"GET /{turn}/{number} 0".encode()).startswith(b"HTTP/1.1 200")
    for wire in wires:
        wire.close()
    assert time.monotonic() - started < 3  # each would wait for half a second or more for a thread that waits


def test_requests_that_are_sent_before_the_answer_to_the_first_are_answered_in_their_order(port: int) -> None:
    with http_wires.connect(port) as wire:
        wire.sendall(b"".join(f"POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".encode() for number in range(5)))
        got = http_wires.receive_until(wire, b"POST /4 3")
    assert [got.index(f"POST /{number} 3".encode()) for number in range(5)] == sorted(
        got.index(f"POST /{number} 3".encode()) for number in range(5))


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(port: int) -> None:
    with http_wires.connect(port) as wire:
        wire.sendall(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert http_wires.receive_until(wire, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(b"abc")
        http_wires.receive_until(wire, b"POST /x 3")


def test_a_request_that_is_none_is_refused_at_once(port: int) -> None:
    with http_wires.connect(port) as wire:
        wire.sendall(b"nonsense\r\n\r\n")
        assert http_wires.receive_until(wire, b'Malformed Request-Line"}}').startswith(b"HTTP/1.1 400")


def test_an_answer_larger_than_what_is_sent_at_once_comes_whole(port: int) -> None:
    with http_wires.connect(port) as wire:
        wire.sendall(b"POST /x HTTP/1.1\r\nHost: h\r\nX-Repeat: 50000\r\nContent-Length: 3\r\n\r\nabc")
        head, _, body = http_wires.receive_until(wire, b"end").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert body == b"POST /x 3" * 50000 + b"end"


def test_a_server_ends_soon_though_a_client_keeps_its_connection() -> None:
    listener = concurrency.listen("127.0.0.1", 0)
    server = concurrency.HttpServer(_echo, listener, threads=2)
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    with http_wires.connect(listener.getsockname()[1]) as wire:
        wire.sendall(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        http_wires.receive_until(wire, b"GET /x 0")
        server.stop()
        serving.join(timeout=8)
        assert not serving.is_alive()


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\0", "\u0142"])
def test_a_header_that_cannot_be_sent_is_a_failure_of_the_application_with_an_answer(value: str) -> None:
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("201 Created", [("Location", value)])
        return [b"made"]

    with http_wires.serving(app) as port:
        assert http_wires.get(port).startswith(b"HTTP/1.1 500 ")
