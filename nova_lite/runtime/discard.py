# SPDX-License-Identifier: Apache-2.0
"""Discards what a client still sends after its answer, up to a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

# What is read, and for how long, of a body that the answer did not need.
DISCARD_BYTES = 256 * 1024 * 1024
DISCARD_S = 20.0


def discard_body(read: Callable[[int], bytes]) -> bool:
    """Read what a client still sends after its answer, so that it can see it; False: it sends too much or too long.

    A client that meets a closed connection while it sends loses the answer, so bodies of 100 MB are read away.
    """
    until, size = time.monotonic() + DISCARD_S, 0
    while size <= DISCARD_BYTES and time.monotonic() < until:
        piece = read(65536)
        if not piece:
            return True
        size += len(piece)
    return False
