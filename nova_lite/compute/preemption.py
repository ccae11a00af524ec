# SPDX-License-Identifier: Apache-2.0
"""Which action of each server is at work on this host, so that a newer one can overtake it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from nova_lite import errors


class Preemption:
    """Safe for threads. Actions are known by their ids, which grow; those of one server take turns under its lock."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._at_work: dict[str, tuple[int, str]] = {}
        self._overtaking: dict[str, int] = {}

    @contextlib.contextmanager
    def take(self, server_id: str, action_id: int, name: str) -> Iterator[None]:
        """Be the server's action at work; the caller holds its lock."""
        with self._guard:
            self._at_work[server_id] = (action_id, name)
        try:
            yield
        finally:
            with self._guard:
                del self._at_work[server_id]
                if self._overtaking.get(server_id) == action_id:
                    del self._overtaking[server_id]

    def overtake(self, server_id: str, action_id: int, *, cuts: frozenset[str]) -> str | None:
        """From now on older actions of the server are stale. The name of the one at work if it is one of `cuts`.

        None when it is not, and when the same action asked before.
        """
        with self._guard:
            if action_id <= self._overtaking.get(server_id, 0):
                return None
            self._overtaking[server_id] = action_id
            known, name = self._at_work.get(server_id, (action_id, ""))
            return name if known < action_id and name in cuts else None

    def newest(self, server_id: str) -> int:
        """The newest action that has overtaken others and is not done yet; 0: there is none."""
        return self._overtaking.get(server_id, 0)

    def check(self, server_id: str, action_id: int) -> None:
        """:raises errors.StaleRequest: a newer action has overtaken this one."""
        newest = self.newest(server_id)
        if action_id < newest:
            raise errors.StaleRequest(id=server_id, fence=action_id, known=newest)
