# SPDX-License-Identifier: Apache-2.0
"""What the daemons cost by /proc, and how quiet the machine is."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import statistics
import time
from collections.abc import Iterator


def noise() -> dict[str, float]:
    """How quiet this machine is: a fixed loop on one core, seven times; `slowdown` is the median over the best."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        total = 0
        for number in range(400_000):
            total += number * number % 7
        times.append(time.perf_counter() - start)
    return {"loop_ms": statistics.median(times) * 1000, "best_ms": min(times) * 1000,
            "slowdown": statistics.median(times) / min(times), "load_1min": os.getloadavg()[0]}


def find_pids(args: argparse.Namespace) -> dict[int, str]:
    """The daemons to account for: those given, or those whose command line or open files name the state directory."""
    found = {pid: name_of(pid) for pid in args.pid}
    if args.state:
        directory = str(pathlib.Path(args.state).resolve())
        for pid in pids():
            if pid != os.getpid() and _uses(pid, directory):
                found[pid] = name_of(pid)
    add_children(found)
    return dict(sorted(found.items()))


def add_children(found: dict[int, str]) -> None:
    """Take in what the daemons have started since: PostgreSQL has a process for each connection."""
    for pid in pids():
        fields = stat_of(pid)
        if fields and int(fields[1]) in found:
            found.setdefault(pid, name_of(pid))


def pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on; empty when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2:].split()


def _uses(pid: int, directory: str) -> bool:
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")[:64]]
    except OSError:
        return False
    if pathlib.Path(words[0]).name in ("bash", "sh", "tail", "less", "py-spy", "timeout"):
        return False
    return any(word == directory or word.startswith(f"{directory}/") for word in [*words, *links])


def name_of(pid: int) -> str:
    """What a person calls the process."""
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "?"
    names = [pathlib.Path(word).name for word in words[:3] if word and not word.startswith("-")]
    ours = [name for name in names if name.startswith("nova")]
    return (ours or names or ["?"])[0].split(":")[0]


def cpu_s(found: dict[int, str]) -> dict[str, float]:
    """User and system seconds so far, by name; what was started since it was found is added to it."""
    add_children(found)
    tick, sums = os.sysconf("SC_CLK_TCK"), dict.fromkeys(found.values(), 0.0)
    for pid, name in found.items():
        fields = stat_of(pid)
        if fields:
            sums[name] += (int(fields[11]) + int(fields[12])) / tick
    return sums


def pss_mib(found: dict[int, str]) -> dict[str, float]:
    """Proportional set size, by name."""
    sums = dict.fromkeys(found.values(), 0.0)
    for pid, name in found.items():
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        sums[name] += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1)) / 1024  # type: ignore[union-attr]
    return sums
