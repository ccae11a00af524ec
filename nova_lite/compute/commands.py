# SPDX-License-Identifier: Apache-2.0
"""Runs the host's tools with a deadline, limits and a way to give up, so that none can hold a worker."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

# How often a running tool's caller looks whether the result is still wanted.
_LOOK_S = 0.2


class CommandFailed(Exception):
    """A tool ended badly, was not there, or took too long; the text is its last words."""


def run(
    arguments: Sequence[str], *, timeout_s: float, memory_mb: int | None = None, cpu_s: int | None = None,
    check: Callable[[], None] | None = None,
) -> str:
    """What the tool printed. `memory_mb` and `cpu_s` bound it (setrlimit); `check` may raise to have it killed.

    :raises CommandFailed: any exit but 0.
    """
    limits = [f"--as={memory_mb << 20}"] if memory_mb else []
    limits += [f"--cpu={cpu_s}"] if cpu_s else []
    command = ["prlimit", *limits, "--", *arguments] if limits else list(arguments)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace",
        )
    except OSError as error:
        raise CommandFailed(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        printed, complaint = _finish(process, deadline=time.monotonic() + timeout_s, check=check)
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{arguments[0]} did not end within {timeout_s:.0f} s") from late
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        words = complaint.strip().splitlines()[-1:] or [f"exit status {process.returncode}"]
        raise CommandFailed(f"{arguments[0]}: {words[0]}")
    return printed


def _finish(
    process: subprocess.Popen[str], *, deadline: float, check: Callable[[], None] | None
) -> tuple[str, str]:
    while True:
        left = deadline - time.monotonic()
        try:
            return process.communicate(timeout=max(0.0, min(_LOOK_S, left) if check else left))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
            if check:
                check()


def status(arguments: Sequence[str], *, timeout_s: float) -> int:
    """How the tool ended: its exit status, or minus the signal that ended it; what it printed is dropped.

    :raises CommandFailed: it cannot be run, or did not end in time (it is killed then).
    """
    try:
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=timeout_s, check=False,
        )
    except OSError as error:
        raise CommandFailed(f"{arguments[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{arguments[0]} did not end within {timeout_s:.0f} s") from late
    return done.returncode
