# SPDX-License-Identifier: Apache-2.0
"""The pid of the cloud that runs in the background on a state directory, so that it can be found and stopped."""

from __future__ import annotations

import os
from pathlib import Path

MODULE = "nova_lite.cmd.lite"  # of release 0.1, too: its clouds can be stopped after an upgrade


def path(state: str) -> str:
    """Where it is written."""
    return os.path.join(state, "nova-lite.pid")


def write(state: str, pid: int) -> None:
    """Record the process."""
    with open(path(state), "w") as file:
        file.write(f"{pid}\n")


def running(state: str) -> int | None:
    """The pid, if that process is alive and is `nova-lite up`, and not another one with a reused pid."""
    try:
        pid = int(Path(path(state)).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return None
    return pid if MODULE in words and "up" in words else None
