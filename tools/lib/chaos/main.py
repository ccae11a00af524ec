# SPDX-License-Identifier: Apache-2.0
"""Breaks a cloud that it starts, part by part, while clients use it, and checks that no promise is broken.

RabbitMQ, PostgreSQL and the daemons are real, guests and networks simulated. Three clients boot servers, act on them and
delete them, one lists servers five times a second. After each fault nothing may be lost: what was accepted is done, new servers
come within 15 s, `nova-lite audit` finds nothing, and servers that nobody touched are as before.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.lib.bench.cloud import BenchError
from tools.lib.chaos.clouds import SHAPES
from tools.lib.chaos.faults import FAULTS, Fault
from tools.lib.chaos.run import Result, Runs, say
from tools.lib.services import ServiceError

EPILOG = """\
Examples:
  tools/chaos --list
  tools/chaos --seed 7 --fault broker-restart --fault conductor-killed
  tools/chaos --seconds 3600 --seed 8
  tools/chaos --shape up --fault up-kills -f json

Without --fault, faults are drawn by the seed until --seconds are over; the same seed draws the same ones, at the same moments.
Exit status: 0 no promise was broken, 1 at least one was, 2 the cloud could not be started or used. Needs root.
"""
_COLUMNS = ("fault", "row", "reads failed", "longest gap", "accepted, failed", "refused", "slowest", "recovered", "verdict")


def main(argv: Sequence[str]) -> int:
    args = _arguments(argv)
    if args.list:
        print("\n".join(f"{one.name:<24} {one.shape:<8} row {one.row:>2}  {one.seconds:>3.0f} s  {one.summary}" for one in FAULTS.values()))
        return 0
    if args.shape == "daemons" and os.geteuid() != 0:
        say("the parts run as their own users: run it as root")
        return 2
    state = args.state or Path(tempfile.mkdtemp(prefix="nova-lite-chaos-"))
    target = SHAPES[args.shape](state)
    results: list[Result] = []
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(2))  # what is started is ended
    try:
        say(f"starting in {state}")
        target.start()
        runs = Runs(target)
        for number, fault in enumerate(_drawn(args)):
            results.append(runs.run(fault, seed=f"{args.seed}-{number}", seconds=args.length))
            say("  ".join(_cells(results[-1])))
            for line in results[-1].wrong:
                say(f"  {line}")
    except (ServiceError, BenchError) as error:
        say(str(error))
        return 2
    finally:
        if not args.keep:
            target.purge()
    print(json.dumps([{**dataclasses.asdict(one), "verdict": one.verdict} for one in results], indent=2) if args.format == "json" else table(results))
    return int(any(one.wrong for one in results))


def _drawn(args: argparse.Namespace) -> Sequence[Fault] | _Until:
    if args.fault:
        return [FAULTS[name] for name in args.fault]
    return _Until(args.seconds, [one for one in FAULTS.values() if one.shape == args.shape], random.Random(args.seed))


class _Until:
    """Faults drawn from `among` until the seconds are over."""

    def __init__(self, seconds: float, among: Sequence[Fault], rng: random.Random) -> None:
        self._deadline, self._among, self._rng = time.monotonic() + seconds, among, rng

    def __iter__(self) -> _Until:
        return self

    def __next__(self) -> Fault:
        if time.monotonic() > self._deadline:
            raise StopIteration
        return self._rng.choice(self._among)


def table(results: Sequence[Result]) -> str:
    """A row for each fault."""
    rows = [_COLUMNS, *map(_cells, results)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(_COLUMNS))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _cells(result: Result) -> tuple[str, ...]:
    recovered = "-" if result.recovered_s is None else f"{result.recovered_s:.1f} s"
    return (result.fault, str(result.row), f"{result.reads_failed}/{result.reads}", f"{result.longest_gap_s:.1f} s",
            f"{result.accepted_failed}/{result.accepted}", str(result.refused), f"{result.slowest_s:.1f} s", recovered, result.verdict)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/chaos", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="begin no fault after so many seconds (default 600)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default 1)")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), metavar="NAME", help="only this one; may be repeated, in this order")
    parser.add_argument("--length", type=float, metavar="S", help="of each fault (default: its own)")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="daemons", help="separate daemons, or `nova-lite up` (default: daemons)")
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--state", type=Path, help="directory for all state (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="leave everything running and in place, to look at")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    args = parser.parse_args(argv)
    wrong = [name for name in args.fault or () if FAULTS[name].shape != args.shape]
    if wrong:
        parser.error(f"{', '.join(wrong)}: of --shape {FAULTS[wrong[0]].shape}")
    return args
