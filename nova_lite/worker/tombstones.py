# SPDX-License-Identifier: Apache-2.0
"""Remembers the newest request that removed each resource from this host, so that a late older one is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from oslo_log import log as logging

from nova_lite.worker.records import RecordFiles

LOG = logging.getLogger(__name__)
# No message lives a week: queues and retries end within hours.
LIFETIME_S = 7 * 24 * 3600.0
_EXPIRE_EVERY = 1000  # new ones


class Tombstones:
    """Server id to the fence of the request that removed it here; safe for threads. `store` None: in memory only."""

    def __init__(self, store: RecordFiles | None, *, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now
        self._lock = threading.Lock()
        self._fences: dict[str, int] = {}

    def load(self) -> None:
        """Read what an earlier process left; old ones expire."""
        if self._store is not None:
            self._store.open()
            with self._lock:
                self._expire()
                self._fences = {resource_id: _fence(content) for resource_id, content in self._store.read()}

    def fence(self, resource_id: str, *, default: int) -> int:
        """The fence of the last removal that is remembered; `default`: there is none."""
        return self._fences.get(resource_id, default)

    def put(self, resource_id: str, *, fence: int) -> None:
        """Remember durably that requests up to `fence` are over; a lower fence changes nothing."""
        with self._lock:
            if fence <= self._fences.get(resource_id, -1):
                return
            if self._store is not None:
                self._store.write(resource_id, {"fence": fence})
            self._fences[resource_id] = fence
            if len(self._fences) % _EXPIRE_EVERY == 0:
                self._expire()

    def expire(self) -> int:
        """Forget those older than `LIFETIME_S`; returns how many. Called by `load`, and now and then by `put`."""
        with self._lock:
            return self._expire()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            for resource_id in self._fences:
                if self._store is not None:
                    self._store.remove(resource_id)
            self._fences.clear()

    def _expire(self) -> int:
        if self._store is None:
            return 0
        expired = self._store.older_than(self._now() - LIFETIME_S)
        for resource_id in expired:
            self._store.remove(resource_id)
            self._fences.pop(resource_id, None)
        return len(expired)


def _fence(content: object) -> int:
    """Compute workers of release 0.1 wrote the bare number."""
    if isinstance(content, dict):
        return int(content["fence"])
    return content if isinstance(content, int) else 0
