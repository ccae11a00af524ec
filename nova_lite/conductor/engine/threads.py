# SPDX-License-Identifier: Apache-2.0
"""A conductor's threads for control steps, which projects share fairly, and the one that wakes actions which rest."""

from __future__ import annotations

import collections
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent import futures

from oslo_log import log as logging

LOG = logging.getLogger(__name__)
Work = Callable[[], None]


class _Turns:
    """What waits for a thread: of each project in its order, of several projects one each in turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.OrderedDict[str, collections.deque[Work]] = collections.OrderedDict()

    def put(self, project_id: str, work: Work) -> None:
        with self._lock:
            self._waiting.setdefault(project_id, collections.deque()).append(work)

    def take(self) -> Work:
        """What is next. :raises KeyError: nothing waits."""
        with self._lock:
            project_id, works = self._waiting.popitem(last=False)
            work = works.popleft()
            if works:
                self._waiting[project_id] = works  # behind the others
            return work


class Threads:
    """`workers` threads for what is submitted; `wake` submits it later."""

    def __init__(self, workers: int) -> None:
        self._pool = futures.ThreadPoolExecutor(workers, thread_name_prefix="workflow")
        self._turns = _Turns()
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Work]] = []
        self._numbers = itertools.count()
        self._is_stopping = False
        self._timer = threading.Thread(target=self._wake_what_is_due, name="workflow-timer", daemon=True)
        self._timer.start()

    def submit(self, work: Work, project_id: str = "") -> None:
        """Run it as soon as a thread is free and it is the project's turn; nothing when stopping: the rows are the truth.

        A project that has hundreds of actions begin delays another's by one of its own for each thread.
        """
        self._turns.put(project_id, work)
        try:
            self._pool.submit(self._run_next)
        except RuntimeError:
            LOG.debug("stopping: an action goes on elsewhere")

    def _run_next(self) -> None:
        self._turns.take()()

    def wake(self, seconds: float, work: Work) -> None:
        """Submit it so many seconds from now."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), work))
            self._changed.notify()

    def stop(self) -> None:
        """Begin nothing more; returns at once."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _wake_what_is_due(self) -> None:
        with self._changed:
            while not self._is_stopping:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    self.submit(heapq.heappop(self._due)[2])
                self._changed.wait(self._due[0][0] - now if self._due else None)
