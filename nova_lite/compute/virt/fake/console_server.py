# SPDX-License-Identifier: Apache-2.0
"""Consoles of simulated guests: a serial port that echoes, and a VNC server with one grey screen (RFC 6143)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from nova_lite.rpc.compute import ConsoleType

WIDTH, HEIGHT = 160, 100
_VERSION = b"RFB 003.008\n"
_NO_PASSWORD = 1
# 32 bits a pixel, depth 24, little endian, true colour, 8 bits each of red, green, blue from bit 16, 8, 0.
_PIXELS = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
_GREY = b"\x80\x80\x80\x00"
# Client messages and how many bytes follow their type; 2 and 6 carry the number of further bytes.
_SET_PIXEL_FORMAT, _SET_ENCODINGS, _UPDATE, _KEY, _POINTER, _CUT_TEXT = 0, 2, 3, 4, 5, 6
_FOLLOWING = {_SET_PIXEL_FORMAT: 19, _SET_ENCODINGS: 3, _UPDATE: 9, _KEY: 7, _POINTER: 5, _CUT_TEXT: 7}


def connect(type: ConsoleType, name: str) -> socket.socket:  # noqa: A002 - Nova's name
    """A connection to the console of the guest `name`."""
    near, far = socket.socketpair()
    serve: Callable[[socket.socket, str], None] = _screen if type is ConsoleType.NOVNC else _echo
    threading.Thread(target=_until_closed, args=(serve, far, name), name="fake-console", daemon=True).start()
    return near


def _until_closed(serve: Callable[[socket.socket, str], None], line: socket.socket, name: str) -> None:
    with line, contextlib.suppress(OSError, EOFError):
        serve(line, name)


def _echo(line: socket.socket, name: str) -> None:
    line.sendall(f"\r\n{name} login: ".encode())
    while data := line.recv(4096):
        line.sendall(data)


def _screen(line: socket.socket, name: str) -> None:
    line.sendall(_VERSION)
    if _exactly(line, len(_VERSION)) != _VERSION:
        return
    line.sendall(bytes((1, _NO_PASSWORD)))
    if _exactly(line, 1)[0] != _NO_PASSWORD:
        return
    line.sendall(bytes(4))
    _exactly(line, 1)  # shared or not
    title = name.encode()
    line.sendall(struct.pack(">HH", WIDTH, HEIGHT) + _PIXELS + struct.pack(">I", len(title)) + title)
    while True:
        kind = _exactly(line, 1)[0]
        if kind not in _FOLLOWING:
            return
        rest = _exactly(line, _FOLLOWING[kind])
        if kind == _SET_ENCODINGS:
            _exactly(line, 4 * struct.unpack(">xH", rest)[0])
        elif kind == _CUT_TEXT:
            _exactly(line, struct.unpack(">xxxI", rest)[0])
        elif kind == _UPDATE and not rest[0]:
            # All of it, as raw pixels; nothing changes afterwards, so incremental requests wait for ever.
            line.sendall(struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + _GREY * (WIDTH * HEIGHT))


def _exactly(line: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        more = line.recv(count - len(read))
        if not more:
            raise EOFError
        read += more
    return read
