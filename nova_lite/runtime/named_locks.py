# SPDX-License-Identifier: Apache-2.0
"""One lock per name, so that a worker's operations on one server, network or image are serial and others are not held up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

# How often a waiter looks whether its work is still wanted.
_LOOK_S = 0.2


class NamedLocks:
    """Locks made when first asked for and forgotten when nobody holds or awaits them; their holder may hold them again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.RLock, int]] = {}

    @contextlib.contextmanager
    def hold(self, name: str, *, check: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of `name`; while waiting, `check` is called and may raise to give up."""
        with self._guard:
            lock, users = self._locks.get(name, (threading.RLock(), 0))
            self._locks[name] = (lock, users + 1)
        try:
            if check is None:
                lock.acquire()
            else:
                while not lock.acquire(timeout=_LOOK_S):
                    check()
            try:
                yield
            finally:
                lock.release()
        finally:
            self._forget(name)

    def is_held(self, name: str) -> bool:
        """Whether somebody holds or awaits the lock now."""
        with self._guard:
            return name in self._locks

    def _forget(self, name: str) -> None:
        with self._guard:
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, users - 1)
