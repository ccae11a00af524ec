# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001 - all faults have one signature
"""What a fault is, and the table of all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator

from tools.lib.chaos.clouds import Target

Inject = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Fault:
    """`inject(cloud, seconds, rng)` returns when all is whole again. `row`: its number in docs/reliability.md.

    `cuts_reads`: reads may fail meanwhile, since what serves them is what is broken. `may_end`: what needs a
    host may end with a reason that has these words, as it is promised.
    """

    name: str
    shape: str
    row: int
    seconds: float
    summary: str
    inject: Inject
    cuts_reads: bool = False
    may_end: str = ""


FAULTS: dict[str, Fault] = {}


def fault(  # the columns of the table
    name: str, *, shape: str = "daemons", row: int, seconds: float, cuts_reads: bool = False, may_end: str = "", summary: str = "",
) -> Callable[[Inject], Inject]:
    """Register the function; its docstring is the summary, unless one is given."""
    def register(inject: Inject) -> Inject:
        FAULTS[name] = Fault(name, shape, row, seconds, summary or (inject.__doc__ or "").strip(), inject, cuts_reads, may_end)
        return inject

    return register


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def few_files(key: str, daemon: str, *, row: int, shape: str = "daemons") -> None:
    @fault(key, shape=shape, row=row, seconds=30, cuts_reads=True, summary=f"{daemon} may open no more files than it has now, and three.")
    def limit(cloud: Target, seconds: float, rng: random.Random) -> None:
        before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in cloud.pids(daemon)}
        for pid, (_, most) in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 4, most))
        try:
            time.sleep(seconds)
        finally:
            for pid, limits in before.items():
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def clock_fault(key: str, daemon: str, *, row: int, hours: int, shape: str = "daemons") -> None:
    way = "an hour ahead" if hours > 0 else "an hour behind"

    # A token that is an hour old has expired, one from an hour ahead is refused: clients have to log in again.
    @fault(key, shape=shape, row=row, seconds=45, cuts_reads=shape == "up", may_end=" is down", summary=f"The clock of {daemon} is set {way}, and back.")
    def set_clock(cloud: Target, seconds: float, rng: random.Random) -> None:
        cloud.clocks.set(daemon, hours * 3600)
        try:
            time.sleep(seconds)
        finally:
            cloud.clocks.set(daemon, 0)
