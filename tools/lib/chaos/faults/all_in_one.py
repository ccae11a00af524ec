# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001 - all faults have one signature
"""Faults of a cloud in one process."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time

from tools.lib.chaos.clouds import Target
from tools.lib.chaos.faults.registry import clock_fault, fault, few_files, frozen
from tools.lib.services import ServiceError


@fault("up-database-locked", shape="up", row=18, seconds=35, cuts_reads=True)
def up_database_locked(cloud: Target, seconds: float, rng: random.Random) -> None:
    """Somebody locks the SQLite file."""
    with contextlib.closing(sqlite3.connect(cloud.state / "nova-lite.sqlite", isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


@fault("up-disk-full", shape="up", row=19, seconds=40, may_end="No space left on device")
def up_disk_full(cloud: Target, seconds: float, rng: random.Random) -> None:
    """The disk of the state directory is full."""
    if not cloud.state.is_mount():
        raise ServiceError("the state directory is on no file system of its own: run it as root")
    filler = cloud.state / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        time.sleep(seconds)
    finally:
        filler.unlink()


@fault("up-hung", shape="up", row=25, seconds=30, cuts_reads=True)
def up_hung(cloud: Target, seconds: float, rng: random.Random) -> None:
    """The process is stopped by SIGSTOP."""
    with frozen(cloud.pids("nova-lite")):
        time.sleep(seconds)


@fault("up-kills", shape="up", row=27, seconds=60, cuts_reads=True)
def up_kills(cloud: Target, seconds: float, rng: random.Random) -> None:
    """The process is killed, and started, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        cloud.process("nova-lite").kill9()
        cloud.start_daemon("nova-lite")
        time.sleep(5 + 3 * rng.random())


@fault("up-stopped", shape="up", row=34, seconds=20, cuts_reads=True)
def up_stopped(cloud: Target, seconds: float, rng: random.Random) -> None:
    """The process is stopped by SIGTERM and started, several times."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        cloud.process("nova-lite").end()
        cloud.start_daemon("nova-lite")
        time.sleep(5 + 2 * rng.random())


few_files("up-few-files", "nova-lite", row=44, shape="up")
clock_fault("up-clock-ahead", "nova-lite", row=40, hours=1, shape="up")
clock_fault("up-clock-behind", "nova-lite", row=40, hours=-1, shape="up")
