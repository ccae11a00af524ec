# SPDX-License-Identifier: Apache-2.0
"""One request and its answer: the WSGI environment, and what the application gives back on its way to the client."""

from __future__ import annotations

import email.utils
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from nova_lite.runtime.discard import discard_body
from nova_lite.runtime.http.body import Body, ChunkedBody, SizedBody
from nova_lite.runtime.http.head import Head
from nova_lite.runtime.http.wire import Allowance, Wire

_SENT_AT_ONCE: Final = 64 * 1024
# Of an unread body as much is read away to keep the connection.
_SMALL: Final = 128 * 1024
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})
_NOT_OF_A_HEADER: Final = re.compile(r"[\r\n\0]|[^\x00-\xff]")
_date: tuple[int, str] = (0, "")


class Exchange:
    """Runs the application for one request. `body`: the whole body if it has been read already."""

    def __init__(self, head: Head, wire: Wire, body: bytes | None, *, grace_s: float, rate: int) -> None:
        self._head, self._wire = head, wire
        self._allowance = Allowance(grace_s, rate)
        self._body: Body | None = None
        if body is None:
            allowance, expects = Allowance(grace_s, rate), head.expects_continue
            self._body = (ChunkedBody(wire, allowance, expects_continue=expects) if head.is_chunked
                          else SizedBody(wire, allowance, head.content_length, expects_continue=expects))
        self._input: Body | io.BytesIO = self._body or io.BytesIO(body or b"")
        self._status, self._headers = "", list[tuple[str, str]]()
        self._is_head_sent = False
        self._is_chunked = False
        self._keeps = head.keeps_alive
        self._out: list[bytes] = []
        self._size = 0

    @property
    def has_succeeded(self) -> bool:
        """Whether the application has said so."""
        return self._status.startswith("2")

    def environ(self, base: dict[str, Any], address: tuple[str, int]) -> dict[str, Any]:
        """The WSGI environment (PEP 3333) on top of the server's part of it."""
        head = self._head
        environ = base.copy()
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = head.path
        environ["RAW_PATH_INFO"] = head.raw_path  # eventlet's name: in PATH_INFO slashes of names are lost
        environ["QUERY_STRING"] = head.query
        environ["SERVER_PROTOCOL"] = f"HTTP/1.{head.minor}"
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = address[0], str(address[1])
        environ["wsgi.input"] = self._input
        for name, value in head.fields.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        if "HTTP_CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH")
        if "HTTP_CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
        return environ

    def run(self, app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> tuple[bytes, bool]:
        """Answer: what is still to be sent, and whether the connection may be used again.

        :raises OSError: the client has gone, or is too slow.
        """
        chunks = app(environ, self._start)
        try:
            for chunk in chunks:
                if chunk:
                    self._write(chunk, is_only=isinstance(chunks, list) and len(chunks) == 1)
            if not self._is_head_sent:
                self._send_head(0)
            if self._is_chunked:
                self._hold(b"0\r\n\r\n")
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        return self._finish()

    def fail(self) -> bytes:
        """What is left to say when the application raised: a 500, unless an answer has begun."""
        if self._is_head_sent and not self._out:
            return b""
        self._out.clear()
        return simple("500 Internal Server Error", "Unexpected API error")

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:  # PEP 3333
        if exc_info:
            try:
                if self._is_head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise AssertionError("start_response was called twice")
        for name, value in headers:
            if _NOT_OF_A_HEADER.search(value):
                raise ValueError(f"the header {name} has a control character, or one beyond latin-1 (PEP 3333)")
        self._status, self._headers = status, headers
        return self._write

    def _write(self, chunk: bytes, *, is_only: bool = False) -> None:
        if not self._is_head_sent:
            self._send_head(len(chunk) if is_only else None)
        if self._head.method == "HEAD":
            return
        self._hold(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk)
        if self._size >= _SENT_AT_ONCE and not is_only:
            self._flush()

    def _send_head(self, length: int | None) -> None:
        self._is_head_sent = True
        names = {name.lower() for name, _ in self._headers}
        lines = [f"HTTP/1.1 {self._status}"]
        lines += [f"{name}: {value}" for name, value in self._headers if name.lower() not in _HOP_BY_HOP]
        has_no_body = self._status[:3] in ("204", "304") or self._status.startswith("1")
        if "content-length" not in names and not has_no_body:
            if length is not None:
                lines.append(f"Content-Length: {length}")
            elif self._head.minor:
                lines.append("Transfer-Encoding: chunked")
                self._is_chunked = self._head.method != "HEAD"
            else:
                self._keeps = False
        if "date" not in names:
            lines.append(f"Date: {_now()}")
        if self._body is not None and (self._body.may_be_left > _SMALL or (self._head.is_chunked and self._body.may_be_left)
                                       or (self._head.expects_continue and self._body.may_be_left)):
            self._keeps = False
        if not self._keeps:
            lines.append("Connection: close")
        elif not self._head.minor:
            lines.append("Connection: keep-alive")
        self._hold(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def _hold(self, data: bytes) -> None:
        self._out.append(data)
        self._size += len(data)

    def _flush(self) -> None:
        whole = b"".join(self._out)
        self._out.clear()
        self._size = 0
        self._wire.send(whole, self._allowance)

    def _finish(self) -> tuple[bytes, bool]:
        rest = b"".join(self._out)
        self._out.clear()
        if rest:
            rest = self._wire.send_now(rest)
        body = self._body
        if body is None or not body.may_be_left:
            return rest, self._keeps
        if rest:
            self._wire.send(rest, self._allowance)
        if self._head.expects_continue:
            return b"", False  # it has no leave to send its body, so nothing will come
        if self._keeps:
            return b"", len(body.read(_SMALL)) <= _SMALL and not body.may_be_left
        discard_body(body.read)
        return b"", False


def simple(status: str, reason: str, *, keeps: bool = False, retry_after_s: int | None = None) -> bytes:
    """A whole answer of the server's own, in JSON."""
    code, _, title = status.partition(" ")
    body = json.dumps({"error": {"code": int(code), "title": title, "message": reason}}).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", f"Date: {_now()}"]
    if retry_after_s is not None:
        lines.append(f"Retry-After: {retry_after_s}")
    if not keeps:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def base_environ(name: str, port: int) -> dict[str, Any]:
    """What all requests have in common."""
    return {
        "SCRIPT_NAME": "", "SERVER_NAME": name, "SERVER_PORT": str(port), "SERVER_SOFTWARE": "nova_lite", "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http", "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False, "wsgi.errors": sys.stderr,
    }


def _now() -> str:
    global _date  # the text of the present second
    second = int(time.time())
    if _date[0] != second:
        _date = (second, email.utils.formatdate(second, usegmt=True))
    return _date[1]
