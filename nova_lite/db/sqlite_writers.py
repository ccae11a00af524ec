# SPDX-License-Identifier: Apache-2.0
"""SQLite's writers: they take turns in the order in which they came, and share the waiting for the disk."""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable
from typing import Any


class Turns:
    """A lock that its waiters get in their order; SQLite's own goes to the one that happens to try when it is free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiters: collections.deque[threading.Lock] = collections.deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def take(self) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiters.append(turn)
        turn.acquire()

    def give(self) -> None:
        with self._lock:
            if self._waiters:
                self._waiters.popleft().release()
            else:
                self._is_taken = False


class GroupSync:
    """Brings what is committed so far to the disk; callers that come meanwhile share the next `sync`.

    SQLite itself would sync within each commit, while its lock keeps all other writers waiting.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._state = threading.Condition()
        self._begun = self._done = 0
        self._is_syncing = False
        self.waiting = 0
        self._failed: dict[int, OSError] = {}

    def wait(self) -> None:
        """Return after a sync that began after this call. :raises OSError: it failed."""
        with self._state:
            mine = self._begun + 1
            self.waiting += 1
            while self._done < mine and self._is_syncing:
                self._state.wait()
            self.waiting -= 1
            if self._done >= mine:
                self._raise_if_failed(mine)
                return
            self._is_syncing = True
            self._begun = mine
        error: OSError | None = None
        try:
            self._sync()
        except OSError as failed:
            error = failed
        with self._state:
            self._done, self._is_syncing = mine, False
            self._failed = {mine: error} if error is not None else {}
            self._state.notify_all()
        if error is not None:
            raise error

    def _raise_if_failed(self, number: int) -> None:
        error = self._failed.get(number)
        if error is not None:
            raise error


class WriteAheadLog:
    """The log beside a SQLite file, which holds what was committed since the last checkpoint; a checkpoint syncs by itself."""

    def __init__(self, database: str) -> None:
        self._path = f"{database}-wal"
        self._directory = os.path.dirname(os.path.abspath(database))
        self._known = -1
        self.syncs = 0

    def sync(self) -> None:
        """Bring it to the disk. It is opened anew each time: SQLite makes it again after the last connection was closed."""
        try:
            log = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            inode = os.fstat(log).st_ino
            if inode != self._known:
                _sync_directory(self._directory)
                self._known = inode
            os.fdatasync(log)
            self.syncs += 1
        finally:
            os.close(log)


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def take_turn(turns: Turns, connection: Any) -> None:  # SQLAlchemy's types
    """Before BEGIN IMMEDIATE of this connection."""
    if not connection.info.get(_HAS_TURN):
        turns.take()
        connection.info[_HAS_TURN] = True


def give_turn(turns: Turns, record: Any) -> None:  # the pool's types
    """When the connection is back in its pool, or lost."""
    if record.info.pop(_HAS_TURN, False):
        turns.give()


_HAS_TURN = "nova_lite.has_turn"
