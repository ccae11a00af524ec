# SPDX-License-Identifier: Apache-2.0
"""Keeps every core of a virtual machine busy at idle priority, so that waking one up is not part of what is measured."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# Any other process preempts it at once. It ends with its parent, however that ends.
_LOOP = """\
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """A loop on every core meanwhile.

    Without it a core that has nothing to do leaves the virtual machine, and each of a request's many short waits
    pays for the way back and for a clock that has slowed down.
    """
    loops = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
