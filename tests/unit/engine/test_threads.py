# SPDX-License-Identifier: Apache-2.0
"""The conductor's threads: no project takes another's place."""

from __future__ import annotations

import threading

from nova_lite.conductor.engine.threads import Threads


def test_projects_have_their_turns_one_after_the_other() -> None:
    threads = Threads(1)
    go_on, done, order = threading.Event(), threading.Event(), []
    threads.submit(lambda: go_on.wait(30) and None, "burst")  # the one thread is busy while the others come
    for number in range(100):
        threads.submit(lambda number=number: order.append(f"burst {number}"), "burst")
    for number in range(2):
        threads.submit(lambda number=number: order.append(f"quiet {number}"), "quiet")
    threads.submit(done.set, "burst")
    go_on.set()
    assert done.wait(30)
    threads.stop()
    assert order[:4] == ["burst 0", "quiet 0", "burst 1", "quiet 1"]
    assert order[4:] == [f"burst {number}" for number in range(2, 100)]


def test_what_fails_takes_no_thread_away() -> None:
    threads, done = Threads(1), threading.Event()
    threads.submit(lambda: 1 / 0, "one")  # type: ignore[arg-type, return-value]
    threads.submit(done.set, "two")
    assert done.wait(30)
    threads.stop()
