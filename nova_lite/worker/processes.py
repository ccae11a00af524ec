# SPDX-License-Identifier: Apache-2.0
"""Daemons that outlive this one: recognised by their arguments, so that a reused pid is never mistaken or killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

_POLITE_S, _HARD_S, _POLL_S = 2.0, 2.0, 0.002


def has_arguments(pid: int, required: Collection[str]) -> bool:
    """Whether the process lives and was started with all of `required`; a list: with exactly these, in order."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    actual = raw.decode(errors="replace").rstrip("\0").split("\0")  # empty for a zombie
    if len(required) == 1:
        return next(iter(required)) in actual
    return actual[1:] == list(required)[1:]


def end(pid: int) -> None:
    """End the process and wait until it is gone: politely first, then by SIGKILL."""
    _end_by(pid, ((signal.SIGTERM, _POLITE_S), (signal.SIGKILL, _HARD_S)))


def kill(pid: int) -> None:
    """End a process that ignores SIGTERM and has nothing to save, and wait until it is gone."""
    _end_by(pid, ((signal.SIGKILL, _HARD_S),))


def _end_by(pid: int, signals: Collection[tuple[signal.Signals, float]]) -> None:
    for sign, wait_s in signals:
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if _is_gone(pid):
                return
            time.sleep(_POLL_S)


def _is_gone(pid: int) -> bool:
    """A zombie counts as gone: it holds nothing, and the process that adopted it may reap it seconds later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
