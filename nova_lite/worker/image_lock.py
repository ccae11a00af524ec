# SPDX-License-Identifier: Apache-2.0
"""Whether a QEMU of this host has an image open: it locks ranges of bytes of each that it opens."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = struct.Struct("hhqqi4x")
# QEMU's block/file-posix.c: from byte 100 what each opener uses, from byte 200 what it lets no other use.
_FIRST, _COUNT = 100, 200


def is_held(path: Path) -> bool:
    """Whether another process has such a lock.

    :raises OSError: there is no such file.
    """
    with path.open("rb") as file:
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _FIRST, _COUNT, 0)
        answer = fcntl.fcntl(file.fileno(), fcntl.F_OFD_GETLK, request)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
