# SPDX-License-Identifier: Apache-2.0
"""A value that is read again only when it is older than some seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class TtlCache(Generic[_T]):
    """Threads may share it; `get` never gives a value older than `seconds`."""

    def __init__(self, read: Callable[[], _T], *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read, self._seconds, self._monotonic = read, seconds, monotonic
        self._lock = threading.Lock()
        self._value: tuple[float, _T] | None = None

    def get(self) -> _T:
        """The value, read now if need be."""
        with self._lock:
            if self._value is None or self._monotonic() - self._value[0] > self._seconds:
                self._value = (self._monotonic(), self._read())
            return self._value[1]
