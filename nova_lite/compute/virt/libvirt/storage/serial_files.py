# SPDX-License-Identifier: Apache-2.0
"""Where the log and the socket of a guest's first serial port are."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

# sun_path of Linux has room for 108 bytes with the zero at its end.
_MAX_PATH = 107
_SHORT = Path("/run/nova-lite")


def log(directory: Path) -> Path:
    """What the guest writes to its first serial port."""
    return directory / "console.log"


def end_of_log(directory: Path, *, size: int) -> bytes:
    """The last `size` bytes of what the guest wrote; the log goes on, backwards, in console.log.0, .1 and so on, where virtlogd rotated it."""
    parts: list[bytes] = []
    seen: set[int] = set()
    for path in _logs(directory):
        try:
            with path.open("rb") as stream:
                found = os.fstat(stream.fileno())
                stream.seek(max(0, found.st_size - size))
                # A file that was rotated since the one before was opened has been read under its former name.
                part = b"" if found.st_ino in seen else stream.read(size)
        except FileNotFoundError:
            break
        seen.add(found.st_ino)
        parts.append(part)
        size -= len(part)
        if size <= 0:
            break
    return b"".join(reversed(parts))


def _logs(directory: Path) -> Iterator[Path]:
    """From the newest to the oldest, and on."""
    yield log(directory)
    yield from (directory / f"{log(directory).name}.{number}" for number in itertools.count())


def socket_path(directory: Path) -> Path:
    """The port's socket: beside the guest's disks, or below /run when that path is too long."""
    path = directory / "serial.sock"
    if len(bytes(path)) <= _MAX_PATH:
        return path
    return _SHORT / f"{hashlib.sha256(bytes(path)).hexdigest()[:32]}.sock"


def make_socket_directory(directory: Path) -> Path:
    """The path of the port's socket, whose directory exists then: libvirt makes the socket only."""
    path = socket_path(directory)
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    return path
