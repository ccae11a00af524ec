# SPDX-License-Identifier: Apache-2.0
"""Requests that two servers could read in two ways are refused with 400 (finding 23), and sizes are bounded (finding 5)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.runtime.http import head
from tests.support import http_wires

CHUNKED = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http_wires.serving() as port:
        yield port


def exchange(port: int, sent: bytes) -> bytes:
    with http_wires.connect(port, sent) as wire:
        return http_wires.receive_all(wire)


@pytest.mark.parametrize("sent", [
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c: d\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-Auth-Token: a\r\nX-Auth-Token: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX_Auth_Token: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h/../x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-A: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-A: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\nHost: h\n\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"G\x1bT / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /\x1b[2J HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET x HTTP/1.1\r\nHost: h\r\n\r\n",
])
def test_an_ambiguous_request_is_refused(port: int, sent: bytes) -> None:
    assert exchange(port, sent).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", [
    b"0x2\r\nab\r\n0\r\n\r\n", b"-1\r\nab\r\n0\r\n\r\n", b"+2\r\nab\r\n0\r\n\r\n", b"2\nab\r\n0\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n",
    b"\r\n0\r\n\r\n", b"2_0\r\nab\r\n0\r\n\r\n",
])
def test_nothing_after_a_bad_chunk_is_taken_for_a_request(port: int, body: bytes) -> None:
    got = exchange(port, CHUNKED + body + b"GET /second HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"200 OK" not in got
    assert b"second" not in got


def test_a_chunked_body_with_extensions_and_trailers_is_read_to_its_end(port: int) -> None:
    with http_wires.connect(port, CHUNKED + b'3;a="b"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: y\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n') as wire:
        got = http_wires.receive_until(wire, b"GET /next 0.")
    assert b"POST /x 13." in got


@pytest.mark.parametrize(("sent", "status"), [
    (b"GET /" + b"a" * head.MAX_LINE + b" HTTP/1.1\r\nHost: h\r\n\r\n", b"414"),
    (b"GET / HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * head.MAX_LINE + b"\r\n\r\n", b"431"),
    (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 8000) for n in range(9)) + b"\r\n", b"431"),
    (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", b"505"),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"501"),
    (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n", b"417"),
])
def test_what_is_not_understood_or_too_long_has_its_status(port: int, sent: bytes, status: bytes) -> None:
    assert exchange(port, sent)[9:12] == status


def _peak_kib() -> int:
    """Of this process, in which the server runs."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def test_a_header_of_64_mib_is_not_read_into_memory(port: int) -> None:
    before = _peak_kib()
    piece = b"a" * (1 << 20)
    with http_wires.connect(port, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: ") as wire, contextlib.suppress(OSError):
        for _ in range(64):
            wire.sendall(piece)
    assert _peak_kib() - before < 16 * 1024
    assert http_wires.get(port).endswith(b"GET /x 0.")


def test_one_chunk_of_64_mib_is_not_held_in_memory() -> None:
    def reads_little(environ, start_response):
        size = 0
        while piece := environ["wsgi.input"].read(65536):
            size += len(piece)
        start_response("200 OK", [])
        return [f"{size}.".encode()]

    piece = b"a" * (1 << 20)
    with http_wires.serving(reads_little) as port, http_wires.connect(port, CHUNKED + b"%x\r\n" % (64 << 20)) as wire:
        before = _peak_kib()
        for _ in range(64):
            wire.sendall(piece)
        wire.sendall(b"\r\n0\r\n\r\n")
        assert http_wires.receive_until(wire, b".").endswith(b"%d." % (64 << 20))
        assert _peak_kib() - before < 16 * 1024


def test_names_and_values_reach_the_application_as_sent() -> None:
    seen = {}

    def look(environ, start_response):
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    with http_wires.serving(look) as port:
        exchange(port, b"\r\nDELETE http://h:1/a%2Fb/%41%252F?q=%20x HTTP/1.1\r\nHost: h:1\r\nCookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\n"
                       b"X-Auth-Token:  t \r\nConnection: close\r\n\r\n")
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["RAW_PATH_INFO"], seen["QUERY_STRING"]) == ("DELETE", "/a/b/A%2F", "/a%2Fb/%41%252F", "q=%20x")
    assert (seen["HTTP_COOKIE"], seen["HTTP_ACCEPT"], seen["HTTP_X_AUTH_TOKEN"]) == ("a=1; b=2", "x, y", "t")
