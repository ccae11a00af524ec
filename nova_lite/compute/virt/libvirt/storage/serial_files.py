# SPDX-License-Identifier: Apache-2.0
"""Where the log and the socket of a guest's first serial port are."""

from __future__ import annotations

import hashlib
from pathlib import Path

# sun_path of Linux has room for 108 bytes with the zero at its end.
_MAX_PATH = 107
_SHORT = Path("/run/nova-lite")


def log(directory: Path) -> Path:
    """What the guest writes to its first serial port."""
    return directory / "console.log"


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
