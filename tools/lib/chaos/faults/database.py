# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001 - all faults have one signature
"""Faults of PostgreSQL."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import psycopg2

from tools.lib.chaos.clouds import SeparateDaemons
from tools.lib.chaos.faults.registry import fault, frozen
from tools.lib.services import Postgres
from tools.lib.services.processes import descendants


@fault("database-killed", row=11, seconds=60, cuts_reads=True)
def database_killed(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """PostgreSQL is killed and away."""
    cloud.cloud.database.kill9()
    time.sleep(seconds)
    cloud.cloud.database.start()


@fault("database-sessions-ended", row=12, seconds=40, cuts_reads=True)
def database_sessions_ended(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """A random session is ended five times a second."""
    with _session(cloud) as execute:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'nova' AND pid <> pg_backend_pid() "
                    f"ORDER BY md5(pid::text || '{rng.random()}') LIMIT 1")
            time.sleep(0.2)


@fault("database-impatient", row=13, seconds=30, cuts_reads=True)
def database_impatient(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Statements longer than 15 ms, and waits for locks longer than 2 ms, are ended."""
    with _session(cloud) as execute:
        end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'nova' AND pid <> pg_backend_pid()"
        try:
            execute("ALTER DATABASE nova SET statement_timeout = '15ms'")
            execute("ALTER DATABASE nova SET lock_timeout = '2ms'")
            execute(end_all)
            time.sleep(seconds)
        finally:
            execute("ALTER DATABASE nova RESET ALL")
            execute(end_all)


@fault("database-locked", row=14, seconds=20, cuts_reads=True)
def database_locked(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Somebody locks the tables of actions and servers."""
    with _session(cloud) as execute:
        execute("BEGIN")
        execute("LOCK TABLE actions, servers IN ACCESS EXCLUSIVE MODE")
        time.sleep(seconds)
        execute("ROLLBACK")


@fault("database-hung", row=15, seconds=40, cuts_reads=True)
def database_hung(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """PostgreSQL is stopped by SIGSTOP."""
    database = cloud.cloud.database
    assert isinstance(database, Postgres)
    with frozen([database.pid, *(child.pid for child in descendants(database.pid))]):
        time.sleep(seconds)


@fault("database-full", row=16, seconds=30, cuts_reads=True)
def database_full(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Others take every connection that PostgreSQL has."""
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as taken:
        while time.monotonic() < until:
            try:
                taken.enter_context(contextlib.closing(psycopg2.connect(_dsn(cloud))))
            except psycopg2.OperationalError:
                time.sleep(0.1)


def _dsn(cloud: SeparateDaemons) -> str:
    database = cloud.cloud.database
    assert isinstance(database, Postgres)
    return database.url("nova").replace("postgresql+psycopg2", "postgresql")


@contextlib.contextmanager
def _session(cloud: SeparateDaemons) -> Iterator[Callable[[str], None]]:
    """Runs statements in a session of its own."""
    with contextlib.closing(psycopg2.connect(_dsn(cloud))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        yield lambda statement: cursor.execute(statement)
