# SPDX-License-Identifier: Apache-2.0
"""Request bodies as file objects that never read more than requested."""

from __future__ import annotations

import io
import re
from typing import Final

from nova_lite.runtime.http.wire import Allowance, Wire

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_MAX_LINE: Final = 8 * 1024
_MAX_TRAILERS: Final = 64 * 1024


class BadBody(OSError):
    """The body is not what its head says; the connection is of no more use."""


class Body(io.RawIOBase):
    """What is common to both: `expects_continue`: the client waits for leave to send, which it gets at the first read."""

    def __init__(self, wire: Wire, allowance: Allowance, *, expects_continue: bool) -> None:
        super().__init__()
        self._wire, self._allowance = wire, allowance
        self._expects_continue = expects_continue

    @property
    def may_be_left(self) -> int:
        """Bytes that are not read yet, or 1 if nobody knows how many."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, and less only at the body's end; everything for -1 or None."""
        pieces, missing = [], size if size is not None and size >= 0 else None
        while missing is None or missing > 0:
            piece = self._next(missing if missing is not None else 65536)
            if not piece:
                break
            pieces.append(piece)
            if missing is not None:
                missing -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._next(len(buffer))
        buffer[:len(piece)] = piece
        return len(piece)

    def _next(self, size: int) -> bytes:
        raise NotImplementedError

    def _take(self, size: int) -> bytes:
        if self._expects_continue:
            self._expects_continue = False
            if not self._wire.ahead:
                self._wire.send(_CONTINUE, self._allowance)
        taken = self._wire.take(size, self._allowance)
        if not taken:
            raise BadBody("the client has gone before the end of its body")
        return taken


class SizedBody(Body):
    """A body of Content-Length bytes."""

    def __init__(self, wire: Wire, allowance: Allowance, size: int, *, expects_continue: bool) -> None:
        super().__init__(wire, allowance, expects_continue=expects_continue)
        self._left = size

    @property
    def may_be_left(self) -> int:
        return self._left

    def _next(self, size: int) -> bytes:
        if not self._left:
            return b""
        taken = self._take(min(size, self._left))
        self._left -= len(taken)
        return taken


class ChunkedBody(Body):
    """A chunked body (RFC 9112 7.1); trailers are read and dropped."""

    def __init__(self, wire: Wire, allowance: Allowance, *, expects_continue: bool) -> None:
        super().__init__(wire, allowance, expects_continue=expects_continue)
        self._left = 0  # of the present chunk
        self._is_first, self._has_ended = True, False

    @property
    def may_be_left(self) -> int:
        return 0 if self._has_ended else 1

    def _next(self, size: int) -> bytes:
        if self._has_ended:
            return b""
        if not self._left:
            self._begin_chunk()
            if not self._left:
                self._read_trailers()
                self._has_ended = True
                return b""
        taken = self._take(min(size, self._left))
        self._left -= len(taken)
        return taken

    def _begin_chunk(self) -> None:
        if not self._is_first and self._line():
            raise BadBody("a chunk does not end where its size says")
        self._is_first = False
        match = _SIZE.fullmatch(self._line())
        if match is None:
            raise BadBody("the size of a chunk is not a number")
        self._left = int(match[1], 16)

    def _read_trailers(self) -> None:
        size = 0
        while line := self._line():
            size += len(line)
            if size > _MAX_TRAILERS:
                raise BadBody("the trailers are too large")

    def _line(self) -> bytes:
        """Up to the next CRLF; what follows it stays with the wire."""
        line = bytearray()
        while True:
            line += self._take(4096)
            end = line.find(b"\r\n")
            if end >= 0:
                self._wire.ahead[:0] = line[end + 2:]
                return bytes(line[:end])
            if b"\n" in line or len(line) > _MAX_LINE:
                raise BadBody("a line of a chunked body does not end")
