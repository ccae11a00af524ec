# SPDX-License-Identifier: Apache-2.0
"""One process of a machine at a time has a worker's state (see admission.py for other machines): two would answer the same requests in turns, and know half of the guests each."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from nova_lite import errors

_FILE = "lock"
# A process that was killed has the lock until the kernel has ended it.
WAIT_S = 5.0
_POLL_S = 0.1


class StateLock:
    """Held from `take` until `release`, or until the process ends, in whatever way; the file has its pid."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._handle: int | None = None

    def take(self, *, wait: Callable[[float], None] = time.sleep, monotonic: Callable[[], float] = time.monotonic) -> None:
        """:raises errors.StateInUse: another process has it, also after a while."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._directory / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._wait_for(handle, wait=wait, deadline=monotonic() + WAIT_S, monotonic=monotonic)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle

    def _wait_for(self, handle: int, *, wait: Callable[[float], None], deadline: float, monotonic: Callable[[], float]) -> None:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() > deadline:
                    pid = os.pread(handle, 20, 0).decode().strip()
                    raise errors.StateInUse(directory=self._directory, pid=pid) from None
                wait(_POLL_S)

    def release(self) -> None:
        """Another process may have it; nothing when it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
