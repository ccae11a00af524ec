# SPDX-License-Identifier: Apache-2.0
"""Runs the host's programs with a deadline, limits and cancellation, so that none can hold a worker."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from nova_lite.worker import unprivileged

# How often the caller of a running program checks whether the result is still needed.
_CHECK_EVERY_S = 0.2
_OUTPUT_CHARACTERS = 600


class CommandFailed(Exception):
    """A program failed, could not be run, or took too long.

    `status`: its exit status, minus the signal that ended it, or None: it did not end by itself. `output`: the end of
    what it printed to stderr, or to stdout when that is empty, on one line. The text names the program and has the output.
    """

    def __init__(self, program: str, reason: str, *, status: int | None = None, output: str = "") -> None:
        super().__init__(f"{program}: {output or reason}")
        self.program, self.status, self.output = program, status, output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Of a program's address space, its CPU time and each file that it writes (setrlimit); None: none."""

    memory_mb: int | None = None
    cpu_s: int | None = None
    file_bytes: int | None = None

    def command(self, arguments: Sequence[str]) -> list[str]:
        limits = [f"--as={self.memory_mb << 20}"] if self.memory_mb else []
        limits += [f"--cpu={self.cpu_s}"] if self.cpu_s else []
        limits += [f"--fsize={self.file_bytes}"] if self.file_bytes is not None else []
        return ["prlimit", *limits, "--", *arguments] if limits else list(arguments)


_NO_LIMITS = Limits()


def run(
    arguments: Sequence[str], *, timeout_s: float, stdin: str = "", limits: Limits = _NO_LIMITS, confined_to: Sequence[int] = (),
    readable: Sequence[int] = (), check: Callable[[], None] | None = None,
) -> str:
    """What the program prints to stdout.

    `confined_to`: descriptors of files, which are the program's for the while: under a root it runs as a user without
    rights, and opens them as `/dev/fd/NUMBER`. `readable`: more of them, of files that anyone may read. `check` is called five times a second; when it raises, the program is killed.

    :raises CommandFailed: any exit status but 0, or `timeout_s` is over.
    """
    command = limits.command(arguments)
    with _input(stdin) as source, unprivileged.owning(confined_to) as prefix:
        process = _start([*prefix, *command], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, kept=(*confined_to, *readable))
        try:
            output, error_output = _finish(process, deadline=time.monotonic() + timeout_s, check=check)
        except subprocess.TimeoutExpired as late:
            raise _too_late(arguments, timeout_s) from late
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
    if process.returncode:
        printed = " ".join((error_output.strip() or output.strip()).split())[-_OUTPUT_CHARACTERS:]
        raise CommandFailed(
            arguments[0], f"exit status {process.returncode}", status=process.returncode, output=printed)
    return output


def status(arguments: Sequence[str], *, timeout_s: float) -> int:
    """The program's exit status, or minus the signal that ended it; its output is dropped.

    :raises CommandFailed: it cannot be run, or did not end in time (it is killed then).
    """
    null = subprocess.DEVNULL
    process = _start(arguments, stdin=null, stdout=null, stderr=null)
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.wait()
        raise _too_late(arguments, timeout_s) from late


@contextlib.contextmanager
def _input(text: str) -> Iterator[int]:
    """A descriptor to read `text` from: a file in memory, as communicate() of Python 3.11 loses input after a timeout."""
    if not text:
        yield subprocess.DEVNULL
        return
    with open(os.memfd_create("stdin"), "w+") as stream:
        stream.write(text)
        stream.seek(0)
        yield stream.fileno()


def _start(
    command: Sequence[str], *, stdin: int, stdout: int, stderr: int, kept: Sequence[int] = ()
) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(command), stdin=stdin, stdout=stdout, stderr=stderr, text=True, errors="replace", pass_fds=kept)
    except OSError as error:
        raise CommandFailed(command[0], f"cannot be run: {error.strerror}") from error


def _finish(
    process: subprocess.Popen[str], *, deadline: float, check: Callable[[], None] | None
) -> tuple[str, str]:
    """stdout and stderr of the program, which has ended.

    :raises subprocess.TimeoutExpired: it has not, at the deadline.
    """
    while True:
        remaining = max(0.0, deadline - time.monotonic())
        try:
            return process.communicate(timeout=min(_CHECK_EVERY_S, remaining) if check else remaining)
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
            if check:
                check()


def _too_late(arguments: Sequence[str], timeout_s: float) -> CommandFailed:
    return CommandFailed(arguments[0], f"did not end within {timeout_s:g} s")
