# SPDX-License-Identifier: Apache-2.0
"""Clients that misbehave on the wire: they are refused at once, and others are served meanwhile and after."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.parse

import pytest

from tests.system.clients.conftest import Cloud

BODY = 100_000_000
SOON_S = 20.0


def head(path: str, *lines: str) -> bytes:
    """A POST's first bytes."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: cloud", "Content-Type: application/json", *lines, "", ""]).encode()


def connect(cloud: Cloud) -> socket.socket:
    where = urllib.parse.urlsplit(cloud.url)
    return socket.create_connection((where.hostname or "", where.port or 0), timeout=SOON_S)


def answer(wire: socket.socket) -> tuple[int, bytes]:
    reply = http.client.HTTPResponse(wire, method="POST")
    reply.begin()
    return reply.status, reply.read()


def is_serving(cloud: Cloud) -> bool:
    with cloud.alice.sdk() as sdk:
        return any(flavor.name == "small" for flavor in sdk.compute.flavors())


@pytest.mark.timed
@pytest.mark.parametrize("path", ["/v2.1/servers", "/identity/v3/auth/tokens", "/network/v2.0/networks", "/image/v2/images"])
def test_a_body_of_100_mb_is_refused_before_it_is_sent(cloud: Cloud, path: str) -> None:
    began = time.monotonic()
    with connect(cloud) as wire:
        wire.sendall(head(path, f"Content-Length: {BODY}") + b"{")
        status, text = answer(wire)
    assert (status, b"too large" in text) == (413, True)
    assert time.monotonic() - began < SOON_S
    assert is_serving(cloud)


@pytest.mark.timed
@pytest.mark.parametrize(("header", "piece"), [
    (f"Content-Length: {BODY}", b" " * 65536), ("Transfer-Encoding: chunked", b"10000\r\n" + b" " * 65536 + b"\r\n"),
], ids=["announced", "chunked"])
def test_a_client_that_sends_100_mb_regardless_is_cut_off(cloud: Cloud, header: str, piece: bytes) -> None:
    began, sent = time.monotonic(), 0
    with connect(cloud) as wire:
        wire.sendall(head("/v2.1/servers", header))
        try:
            while sent < BODY:
                sent += wire.send(piece)
        except OSError:
            pass  # it was cut off
        else:
            assert answer(wire)[0] == 413
    assert time.monotonic() - began < SOON_S
    assert is_serving(cloud)


@pytest.mark.timed
def test_clients_that_never_finish_their_request_do_not_keep_others_waiting(cloud: Cloud) -> None:
    wires = [connect(cloud) for _ in range(8)]
    try:
        for wire in wires:
            wire.sendall(head("/v2.1/servers", "Content-Length: 1000") + b"{")
        began = time.monotonic()
        assert is_serving(cloud)
        assert time.monotonic() - began < SOON_S
    finally:
        for wire in wires:
            wire.close()
