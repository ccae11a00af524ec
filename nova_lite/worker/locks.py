# SPDX-License-Identifier: Apache-2.0
"""One lock per name: a worker's operations on one server, network or image are serial, and others do not wait for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

# How often a thread that waits for a lock checks whether its work is still needed.
_CHECK_EVERY_S = 0.2


class NamedLocks:
    """Reentrant locks, made at their first use and dropped when no thread holds or waits for them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.RLock, int]] = {}

    @contextlib.contextmanager
    def hold(self, name: str, *, check: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of `name`. `check` is called five times a second while waiting; when it raises, the wait ends."""
        with self._guard:
            lock, users = self._locks.get(name, (threading.RLock(), 0))
            self._locks[name] = (lock, users + 1)
        try:
            if check is None:
                lock.acquire()
            else:
                while not lock.acquire(timeout=_CHECK_EVERY_S):
                    check()
            try:
                yield
            finally:
                lock.release()
        finally:
            self._release(name)

    def is_held(self, name: str) -> bool:
        """Whether a thread holds or waits for the lock now."""
        with self._guard:
            return name in self._locks

    def _release(self, name: str) -> None:
        with self._guard:
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, users - 1)
