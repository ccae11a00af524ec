# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001 - all faults have one signature
"""The faults: each breaks a part of a running cloud for some seconds, and leaves it whole."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator

import psycopg2

from tools.lib.chaos.clouds import SeparateDaemons, Target
from tools.lib.daemons import environment, program
from tools.lib.services import Postgres, Process, ServiceError
from tools.lib.services.processes import descendants

Inject = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Fault:
    """`inject(cloud, seconds, rng)` returns when all is whole again. `row`: its number in docs/reliability.md.

    `cuts_reads`: reads may fail meanwhile, since what serves them is what is broken.
    """

    name: str
    shape: str
    row: int
    seconds: float
    summary: str
    inject: Inject
    cuts_reads: bool = False


FAULTS: dict[str, Fault] = {}


def fault(  # the columns of the table
    name: str, *, shape: str = "daemons", row: int, seconds: float, cuts_reads: bool = False, summary: str = "",
) -> Callable[[Inject], Inject]:
    """Register the function; its docstring is the summary, unless one is given."""
    def register(inject: Inject) -> Inject:
        FAULTS[name] = Fault(name, shape, row, seconds, summary or (inject.__doc__ or "").strip(), inject, cuts_reads)
        return inject

    return register


# The broker.
@fault("broker-restart", row=1, seconds=2)
def broker_restart(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ stops and comes back."""
    cloud.cloud.broker.stop()
    time.sleep(seconds)
    cloud.cloud.broker.start()


@fault("broker-wiped", row=2, seconds=1)
def broker_wiped(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ is killed and comes back without its data."""
    broker = cloud.cloud.broker
    broker.kill9()
    shutil.rmtree(broker.state_dir / "data")
    time.sleep(seconds)
    broker.start()


@fault("broker-absent", row=3, seconds=60)
def broker_absent(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ is away."""
    broker_restart(cloud, seconds, rng)


@fault("broker-alarm", row=4, seconds=45)
def broker_alarm(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ blocks publishers, as when its memory is short."""
    broker = cloud.cloud.broker
    broker.ctl("set_vm_memory_high_watermark", "0.000001")
    try:
        time.sleep(seconds)
    finally:
        broker.ctl("set_vm_memory_high_watermark", "0.4")


@fault("broker-hung", row=5, seconds=40)
def broker_hung(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ is stopped by SIGSTOP."""
    pid = cloud.cloud.broker._broker.pid
    with _frozen([pid, *(child.pid for child in descendants(pid))]):
        time.sleep(seconds)


@fault("messages-dropped", row=6, seconds=60)
def messages_dropped(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """One message of ten is lost."""
    _unreliable(cloud, seconds, rng, drop=0.1)


@fault("messages-doubled", row=7, seconds=45)
def messages_doubled(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Three messages of ten come twice."""
    _unreliable(cloud, seconds, rng, double=0.3)


@fault("messages-late", row=8, seconds=45)
def messages_late(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """One message of five is up to 2 s late, one of ten comes twice."""
    _unreliable(cloud, seconds, rng, late_rate=0.2, late_s=2.0, double=0.1)


@fault("queues-purged", row=9, seconds=20)
def queues_purged(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Queues are emptied, and connections closed by the broker, again and again."""
    broker, until = cloud.cloud.broker, time.monotonic() + seconds
    while time.monotonic() < until:
        for queue in broker.ctl("list_queues", "name", "--no-table-headers").split():
            broker.ctl("purge_queue", queue)
        broker.ctl("close_all_connections", "chaos")


@fault("queues-deleted", row=10, seconds=1)
def queues_deleted(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """The queues of all topics are deleted."""
    broker = cloud.cloud.broker
    for queue in broker.ctl("list_queues", "name", "--no-table-headers").split():
        if not queue.startswith(("reply_", "amq.")):
            broker.ctl("delete_queue", queue)
    time.sleep(seconds)


# The database.
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
    with _frozen([database.pid, *(child.pid for child in descendants(database.pid))]):
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


# Daemons.
def _faults_of(name: str, *, hung: int, stopped: int) -> None:
    """The same of each daemon; `hung`, `stopped`: their rows."""
    part, cuts_reads = name.removeprefix("nova-"), name == "nova-api"

    if hung:
        @fault(f"{part}-hung", row=hung, seconds=30, summary=f"{name} is stopped by SIGSTOP.")
        def hang(cloud: Target, seconds: float, rng: random.Random) -> None:
            with _frozen(cloud.pids(name)):
                time.sleep(seconds)

    @fault(f"{part}-stopped", row=stopped, seconds=12, cuts_reads=cuts_reads, summary=f"{name} is stopped by SIGTERM and started, several times.")
    def stop(cloud: Target, seconds: float, rng: random.Random) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            cloud.process(name).end()
            cloud.start_daemon(name)
            time.sleep(2 + 2 * rng.random())

    @fault(f"{part}-killed", row=26, seconds=1, cuts_reads=cuts_reads, summary=f"{name} is killed, and started within a second.")
    def kill(cloud: Target, seconds: float, rng: random.Random) -> None:
        cloud.process(name).kill9()
        time.sleep(seconds * rng.random())
        cloud.start_daemon(name)


_faults_of("nova-conductor", hung=22, stopped=28)
_faults_of("nova-compute", hung=23, stopped=29)
_faults_of("nova-scheduler", hung=33, stopped=30)
_faults_of("nova-network", hung=33, stopped=31)
_faults_of("nova-api", hung=0, stopped=32)


def _clock_fault(key: str, daemon: str, *, row: int, hours: int, shape: str = "daemons") -> None:
    way = "an hour ahead" if hours > 0 else "an hour behind"

    @fault(key, shape=shape, row=row, seconds=45, summary=f"The clock of {daemon} is set {way}, and back.")
    def set_clock(cloud: Target, seconds: float, rng: random.Random) -> None:
        cloud.clocks.set(daemon, hours * 3600)
        try:
            time.sleep(seconds)
        finally:
            cloud.clocks.set(daemon, 0)


def _few_files(key: str, daemon: str, *, row: int, shape: str = "daemons") -> None:
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


_few_files("api-few-files", "nova-api", row=46)
_few_files("conductor-few-files", "nova-conductor", row=46)
_few_files("up-few-files", "nova-lite", row=44, shape="up")
_clock_fault("conductor-clock-behind", "nova-conductor", row=36, hours=-1)
_clock_fault("conductor-clock-ahead", "nova-conductor", row=37, hours=1)
_clock_fault("compute-clock-ahead", "nova-compute", row=38, hours=1)
_clock_fault("up-clock-ahead", "nova-lite", row=40, hours=1, shape="up")
_clock_fault("up-clock-behind", "nova-lite", row=40, hours=-1, shape="up")


@fault("compute-twin", row=35, seconds=20)
def compute_twin(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """A second nova-compute of the same name runs, with a state directory of its own."""
    own = cloud.state / "twin"
    text = cloud.cloud.nova_conf.read_text().replace(f"state_path = {cloud.state / 'state'}", f"state_path = {own}")
    (cloud.state / "twin.conf").write_text(text)
    twin = Process("nova-compute-twin", cloud.state / "log")
    twin.start([program("nova-compute"), "--config-file", str(cloud.state / "twin.conf")], env=environment())
    try:
        time.sleep(seconds)
    finally:
        twin.end()


@fault("api-worker-hung", row=24, seconds=30, cuts_reads=True)
def api_worker_hung(cloud: Target, seconds: float, rng: random.Random) -> None:
    """One of the workers of nova-api is stopped by SIGSTOP."""
    with _frozen([rng.choice(cloud.pids("nova-api")[1:])]):
        time.sleep(seconds)


@fault("kills", row=26, seconds=60, cuts_reads=True)
def kills(cloud: Target, seconds: float, rng: random.Random) -> None:
    """Every three seconds a daemon is killed, and started."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = rng.choice(list(cloud.daemons))
        cloud.process(name).kill9()
        cloud.start_daemon(name)
        time.sleep(3)


# All in one process.
@fault("up-database-locked", shape="up", row=18, seconds=35, cuts_reads=True)
def up_database_locked(cloud: Target, seconds: float, rng: random.Random) -> None:
    """Somebody locks the SQLite file."""
    with contextlib.closing(sqlite3.connect(cloud.state / "nova-lite.sqlite", isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


@fault("up-disk-full", shape="up", row=19, seconds=40)
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
    with _frozen(cloud.pids("nova-lite")):
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


def _unreliable(cloud: SeparateDaemons, seconds: float, rng: random.Random, **rates: float) -> None:
    cloud.rates.write_text(json.dumps({**rates, "seed": rng.randrange(1 << 30)}))
    try:
        time.sleep(seconds)
    finally:
        cloud.rates.unlink()


@contextlib.contextmanager
def _frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


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
