# SPDX-License-Identifier: Apache-2.0
"""A worker's state is one process's: another is refused by the pid of the first, until that has ended."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.worker.state_lock import StateLock

HOLDS = "import sys, pathlib; from nova_lite.worker.state_lock import StateLock; StateLock(pathlib.Path(sys.argv[1])).take(); print('held', flush=True); input()"


def take(directory: Path) -> StateLock:
    """Without waiting for real."""
    clock = itertools.count(step=3.0)
    lock = StateLock(directory)
    lock.take(wait=lambda seconds: None, monotonic=lambda: float(next(clock)))
    return lock


def test_a_second_worker_is_refused_by_the_first_ones_pid(tmp_path: Path) -> None:
    first = take(tmp_path / "compute")
    with pytest.raises(errors.StateInUse, match=f"process {os.getpid()}"):
        take(tmp_path / "compute")
    first.release()
    take(tmp_path / "compute").release()


@pytest.mark.parametrize("is_at_end", [True, False], ids=["refused", "interrupted"])
def test_who_did_not_get_it_has_no_file_open(tmp_path: Path, *, is_at_end: bool) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    first = take(tmp_path)
    before = os.listdir("/proc/self/fd")
    with pytest.raises((errors.StateInUse, KeyboardInterrupt)):
        StateLock(tmp_path).take(wait=interrupt, monotonic=itertools.count(step=9.0 if is_at_end else 0.0).__next__)
    assert os.listdir("/proc/self/fd") == before
    first.release()


def test_a_worker_that_was_killed_has_nothing(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin
    assert other.stdout
    with other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(errors.StateInUse, match=f"process {other.pid}"):
            take(tmp_path)
        other.kill()
        other.wait(10)
        take(tmp_path).release()
