# SPDX-License-Identifier: Apache-2.0
"""Requests to tgtd on its control socket, as tgtadm sends them: that program would show passwords in its arguments.

https://github.com/fujita/tgt/blob/v1.0.85/usr/tgtadm.h
"""

from __future__ import annotations

import dataclasses
import re
import socket
import struct
from enum import IntEnum
from pathlib import Path

_TIMEOUT_S = 10.0
_MAX_ANSWER = 64 << 20
# struct tgtadm_req and tgtadm_rsp of a 64-bit host.
_REQUEST = struct.Struct("=II64sIiQQIIIIII")
_ANSWER = struct.Struct("=II")
_ALL = -1


class Mode(IntEnum):
    """What a request is about; DEVICE is a logical unit."""

    SYSTEM = 0
    TARGET = 1
    DEVICE = 2
    PORTAL = 3
    CONNECTION = 6
    ACCOUNT = 7


class Op(IntEnum):
    NEW = 0
    DELETE = 1
    SHOW = 2
    BIND = 3
    UNBIND = 4
    UPDATE = 5


class Code(IntEnum):
    """Refusals, as tgtadm_error.h numbers them."""

    UNKNOWN_ERROR = 1
    NO_MEMORY = 2
    NO_DRIVER = 3
    NO_TARGET = 4
    NO_LUN = 5
    NO_SESSION = 6
    NO_CONNECTION = 7
    NO_BINDING = 8
    TARGET_EXISTS = 9
    LUN_EXISTS = 10
    BINDING_EXISTS = 11
    ACL_EXISTS = 12
    NO_ACL = 13
    USER_EXISTS = 14
    NO_USER = 15
    TOO_MANY_USERS = 16
    INVALID_REQUEST = 17
    OUTGOING_ACCOUNT_EXISTS = 18
    TARGET_ACTIVE = 19
    LUN_ACTIVE = 20
    DRIVER_ACTIVE = 21
    UNSUPPORTED_OPERATION = 22
    UNKNOWN_PARAMETER = 23
    PREVENT_REMOVAL = 24


class NoDaemon(Exception):
    """tgtd does not answer; the text says why."""


class Refused(Exception):
    """tgtd refused a request."""

    def __init__(self, code: int) -> None:
        super().__init__(f"tgtd refused it: {Code(code).name.lower().replace('_', ' ') if code in list(Code) else code}")
        self.code = code


@dataclasses.dataclass(frozen=True)
class Target:
    """A target as tgtd shows it. `connections`: session and connection of each initiator that is logged in."""

    tid: int
    name: str
    path: str = ""
    accounts: tuple[str, ...] = ()
    acls: tuple[str, ...] = ()
    connections: tuple[tuple[int, int], ...] = ()


class Control:
    """One tgtd, whose control socket is `path`; safe for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(  # noqa: PLR0913 - fields of a request
        self, mode: Mode, op: Op, *, tid: int = 0, session: int = 0, lun: int = 0, connection: int = 0, params: str = "",
        is_forced: bool = False,
    ) -> str:
        """What tgtd answers.

        :raises Refused: it refuses. :raises NoDaemon: it does not answer.
        """
        body = params.encode() + b"\0" if params else b""
        head = _REQUEST.pack(mode, op, b"iscsi", _REQUEST.size + len(body), tid, session, lun, connection, 0, 0, 0, 0, int(is_forced))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.settimeout(_TIMEOUT_S)
                stream.connect(str(self._path))
                stream.sendall(head + body)
                code, length = _ANSWER.unpack(_read(stream, _ANSWER.size))
                text = _read(stream, min(length - _ANSWER.size, _MAX_ANSWER)) if code == 0 and length > _ANSWER.size else b""
        except OSError as error:
            raise NoDaemon(f"tgtd does not answer: {error.strerror or error}") from error
        if code:
            raise Refused(code)
        return text.rstrip(b"\0").decode(errors="replace")

    def targets(self) -> dict[str, Target]:
        """All targets by their names."""
        return {target.name: target for target in parse(self.send(Mode.TARGET, Op.SHOW, tid=_ALL))}


def parse(shown: str) -> list[Target]:
    """The targets in what tgtd shows of all."""
    return [_target(text) for text in re.split(r"^Target ", shown, flags=re.MULTILINE)[1:]]


def _target(text: str) -> Target:
    """One target: its number and name, then sections, whose names are indented once and whose lines twice or more."""
    head, _, rest = text.partition("\n")
    number, _, name = head.partition(": ")
    parts = re.split(r"^ {4}(\S.*):\n", rest, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    paths = re.findall(r"Backing store path: (.+)$", sections.get("LUN information", ""), re.MULTILINE)
    sessions = re.split(r"I_T nexus: (\d+)", sections.get("I_T nexus information", ""))
    return Target(
        int(number), name, path=next((path for path in paths if path != "None"), ""),
        accounts=_items(sections.get("Account information", "")), acls=_items(sections.get("ACL information", "")),
        connections=tuple(
            (int(session), int(connection)) for session, shown in zip(sessions[1::2], sessions[2::2], strict=True)
            for connection in re.findall(r"Connection: (\d+)", shown)))


def _items(section: str) -> tuple[str, ...]:
    return tuple(re.findall(r"^ {8}(\S.*)$", section, re.MULTILINE))


def _read(stream: socket.socket, count: int) -> bytes:
    """:raises NoDaemon: the socket was closed before."""
    parts = b""
    while len(parts) < count:
        part = stream.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise NoDaemon("tgtd closed its control socket")
        parts += part
    return parts
