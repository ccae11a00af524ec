# SPDX-License-Identifier: Apache-2.0
"""One lock per name, made when wanted and forgotten when free."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Locks:
    """Locks by name; thousands of names cost nothing while nobody holds them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[str, tuple[threading.RLock, int]] = {}

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Be alone with `name`."""
        with self._guard:
            lock, users = self._held.get(name, (threading.RLock(), 0))
            self._held[name] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._held.pop(name)
                if users > 1:
                    self._held[name] = (lock, users - 1)
