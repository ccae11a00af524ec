# SPDX-License-Identifier: Apache-2.0
"""Reads the head of an HTTP/1.1 request strictly: what two servers could read in two ways is refused (RFC 9112)."""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

MAX_HEAD: Final = 64 * 1024
MAX_LINE: Final = 8 * 1024
END: Final = b"\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
# No underscore in names: in a WSGI environment X_Auth_Token would be X-Auth-Token.
_FIELD = re.compile(rb"([!#$%&'*+\-.^`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_AUTHORITY = re.compile(r"[A-Za-z0-9._~\-:\[\]%]*")
# Fields that a request has once; of two, a proxy and this server could believe different ones.
_ONCE = frozenset({
    "host", "content-length", "transfer-encoding", "content-type", "expect", "x-auth-token", "x-subject-token", "x-service-token",
    "x-openstack-nova-api-version", "x-openstack-request-id", "authorization", "range",
})


class BadHead(Exception):  # an answer to the client
    """The request is refused with `status`, and the connection is closed."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Head:
    """A request's line and fields; names are lower case, values latin-1. `raw_path` is as it was sent, `path` decoded."""

    __slots__ = ("content_length", "expects_continue", "fields", "is_chunked", "keeps_alive", "method", "minor", "path", "query", "raw_path")

    def __init__(self, method: str, target: str, minor: int, fields: dict[str, str]) -> None:
        self.method = method
        self.minor = minor
        self.fields = fields
        self.raw_path, self.query = _split_target(method, target)
        self.path = urllib.parse.unquote(self.raw_path, "latin-1") if "%" in self.raw_path else self.raw_path
        self.is_chunked, self.content_length = _framing(fields, minor)
        tokens = [token.strip().lower() for token in fields.get("connection", "").split(",")]
        self.keeps_alive = "close" not in tokens if minor else "keep-alive" in tokens
        expect = fields.get("expect", "").lower()
        if expect and expect != "100-continue":
            raise BadHead("417 Expectation Failed", "the only expectation that is met is 100-continue")
        self.expects_continue = bool(expect and minor)


def parse(text: bytes) -> Head:
    """The head in `text`, which ends before the empty line.

    :raises BadHead: it is not HTTP/1.0 or 1.1, or can be read in two ways.
    """
    lines = text.split(b"\r\n")
    first = lines[0]
    if len(first) > MAX_LINE:
        raise BadHead("414 URI Too Long", f"the request line is longer than {MAX_LINE} bytes")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise BadHead("400 Bad Request", "Malformed Request-Line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise BadHead("505 HTTP Version Not Supported", "HTTP/1.0 and HTTP/1.1 are spoken here")
    fields = _fields(lines[1:])
    if minor == b"1" and "host" not in fields:
        raise BadHead("400 Bad Request", "the Host header is missing")
    if not _AUTHORITY.fullmatch(fields.get("host", "")):
        raise BadHead("400 Bad Request", "the Host header names no host")
    return Head(method.decode("ascii"), target.decode("ascii"), int(minor), fields)


def _fields(lines: list[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        if len(line) > MAX_LINE:
            raise BadHead("431 Request Header Fields Too Large", f"a header line is longer than {MAX_LINE} bytes")
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadHead("400 Bad Request", "Malformed header line")
        name, value = field[1].decode("ascii").lower(), field[2].decode("latin-1")
        if name in fields:
            if name in _ONCE:
                raise BadHead("400 Bad Request", f"the header {name} is given twice")
            value = f"{fields[name]}{'; ' if name == 'cookie' else ', '}{value}"
        fields[name] = value
    return fields


def _split_target(method: str, target: str) -> tuple[str, str]:
    """Path and query as they were sent."""
    if target[:7].lower() == "http://" or target[:8].lower() == "https://":
        rest = target.partition("://")[2]
        slash = rest.find("/")
        target = rest[slash:] if slash >= 0 else "/"
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        raise BadHead("400 Bad Request", "the request target is no path")
    path, _, query = target.partition("?")
    if "#" in target:
        raise BadHead("400 Bad Request", "the request target has a fragment")
    return path, query


def _framing(fields: dict[str, str], minor: int) -> tuple[bool, int]:
    """Whether the body is chunked, and else its length."""
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if coding is not None:
        if length is not None or not minor:
            raise BadHead("400 Bad Request", "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
        if coding.lower() != "chunked":
            raise BadHead("501 Not Implemented", "the only transfer coding that is understood is chunked")
        return True, 0
    if length is None:
        return False, 0
    if not _LENGTH.fullmatch(length):
        raise BadHead("400 Bad Request", "Content-Length is not a number")
    return False, int(length)
