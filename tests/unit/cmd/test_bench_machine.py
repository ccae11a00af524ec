# SPDX-License-Identifier: Apache-2.0
"""What tools/bench counts as CPU of the daemons."""

from __future__ import annotations

import subprocess
import sys

from tools.lib.bench import machine

# Starts a child on request, which takes 0.1 s of CPU, says so and waits.
_CHILD = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint('done', flush=True)\nsys.stdin.read()"
_PARENT = f"import subprocess, sys\nsys.stdin.readline()\nsys.exit(subprocess.call([sys.executable, '-c', {_CHILD!r}]))"


def test_a_child_that_started_since_is_counted_from_its_start() -> None:
    """PostgreSQL has a process for each connection, and most connections are made under load."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        found = {parent.pid: "postgres"}
        before = machine.cpu_s(found)
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == b"done\n"
        after = machine.cpu_s(found)
        parent.stdin.close()
    assert len(found) == 2
    assert sum(after.values()) - sum(before.values()) >= 0.09  # ticks of 10 ms
