# SPDX-License-Identifier: Apache-2.0
"""The pid of the cloud that runs in the background on a state directory, so that it is found again and ended."""

from __future__ import annotations

import os
from pathlib import Path

_MODULE = "nova_lite.cmd.lite.main"


def path(state: str) -> str:
    """Where it is written."""
    return os.path.join(state, "nova-lite.pid")


def write(state: str, pid: int) -> None:
    """Remember who runs."""
    with open(path(state), "w") as file:
        file.write(f"{pid}\n")


def running(state: str) -> int | None:
    """The pid, if that process is alive and is `nova-lite up`; a reused pid is nobody's."""
    try:
        pid = int(Path(path(state)).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return None
    return pid if _MODULE in words and "up" in words else None
