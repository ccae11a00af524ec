# SPDX-License-Identifier: Apache-2.0
"""A client's connection between its bytes and its requests."""

from __future__ import annotations

import re
import socket
from typing import Final

from nova_lite.runtime.http import head as heads
from nova_lite.runtime.http.head import BadHead, Head
from nova_lite.runtime.http.wire import Wire

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# Bodies of up to so many bytes are there before a thread takes the request.
SMALL_BODY: Final = 128 * 1024
# A client that meets a closed connection while it sends loses the answer.
_MAX_DRAINED: Final = 4 * 1024 * 1024
_BARE_END = re.compile(rb"\n\n|\n\r\n(?<!\r\n\r\n)")


class Connection:
    """`advance` turns what has come into the next request. `served`: requests so far; `unsent`: of an answer.

    `drained`: bytes thrown away after a last answer that its client has yet to read; None: it has had none.
    """

    __slots__ = ("_is_continued", "address", "body", "drained", "head", "served", "streams", "unsent", "wire")

    def __init__(self, connection: socket.socket, address: tuple[str, int]) -> None:
        self.wire = Wire(connection)
        self.address = address
        self.served = 0
        self.unsent = b""
        self.drained: int | None = None
        self.head: Head | None = None
        self.body: bytes | None = None
        self.streams = False
        self._is_continued = False

    def begin(self) -> None:
        """Forget the last request."""
        self.head, self.body, self.streams, self._is_continued = None, None, False, False

    def advance(self) -> bool:
        """Whether a request is whole: its head, and its body if that is small; one that `streams` is read by its thread.

        :raises BadHead: it is to be refused.
        """
        if self.head is None and not self._read_head():
            return False
        head, ahead = self.head, self.wire.ahead
        assert head is not None
        self.streams = head.is_chunked or head.content_length > SMALL_BODY
        if self.streams:
            return True
        if len(ahead) < head.content_length:
            if head.expects_continue and not self._is_continued:
                self._is_continued = True
                self.wire.send_now(_CONTINUE)
            return False
        self.body = bytes(ahead[:head.content_length])
        del ahead[:head.content_length]
        return True

    @property
    def is_silent(self) -> bool:
        """Whether nothing of a request has come."""
        return self.head is None and not self.wire.ahead

    def drain(self) -> bool:
        """Throw away what has come after the last answer; False: there is no more, or too much."""
        assert self.drained is not None
        is_open = self.wire.receive()
        self.drained += len(self.wire.ahead)
        self.wire.ahead.clear()
        return is_open and self.drained < _MAX_DRAINED

    def _read_head(self) -> bool:
        ahead = self.wire.ahead
        while ahead[:2] == b"\r\n":  # RFC 9112 2.2: an empty line before a request is ignored
            del ahead[:2]
        end = ahead.find(heads.END)
        if end > heads.MAX_HEAD or (end < 0 and len(ahead) > heads.MAX_HEAD):
            raise BadHead("431 Request Header Fields Too Large", f"the head is larger than {heads.MAX_HEAD} bytes")
        if end < 0:
            if _BARE_END.search(ahead):
                raise BadHead("400 Bad Request", "lines end with CR and LF")
            return False
        text = bytes(ahead[:end])
        del ahead[:end + len(heads.END)]
        self.head = heads.parse(text)
        return True
