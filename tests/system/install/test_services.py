# SPDX-License-Identifier: Apache-2.0
"""The databases, the broker and the processes that all real tests stand on start, work, survive a crash and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import amqp  # type: ignore[import-untyped]
import kombu.connection
import kombu.entity
import pytest
import sqlalchemy

from tests.support.wait import wait_until
from tools.lib.services import MariaDB, Postgres, Process, RabbitMQ, ServiceError, free_port
from tools.lib.services.libvirtd import fix_kvm_device

Connection: Any = kombu.connection.Connection  # kombu is not typed
Queue: Any = kombu.entity.Queue


def select_one(url: str) -> int:
    """Query a database by SQLAlchemy, as the services do."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(sqlalchemy.text("SELECT 1")).scalar_one())
    finally:
        engine.dispose()


def write_row(url: str) -> None:
    """Commit one row."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE kept (word VARCHAR(20))"))
            connection.execute(sqlalchemy.text("INSERT INTO kept VALUES ('snø')"))
    finally:
        engine.dispose()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_database_starts_answers_and_stops(kind: type[Postgres | MariaDB], state: Path) -> None:
    with kind(state / "database") as database:
        assert select_one(database.create_database("nova")) == 1
    assert not database.is_ready()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_database_keeps_committed_rows_over_a_crash(kind: type[Postgres | MariaDB], state: Path) -> None:
    with kind(state / "database") as database:
        url = database.create_database("nova")
        write_row(url)
        database.kill9()
        assert not database.is_ready()
        database.start()
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT word FROM kept")).scalars().all() == ["snø"]
        engine.dispose()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_database_refuses_a_wrong_password(kind: type[Postgres | MariaDB], state: Path) -> None:
    with kind(state / "database") as database, pytest.raises(sqlalchemy.exc.OperationalError):
        select_one(database.create_database("nova").replace(database.password, "wrong"))


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_dropped_database_is_gone_and_can_be_made_again(
    kind: type[Postgres | MariaDB], state: Path
) -> None:
    with kind(state / "database") as database:
        write_row(database.create_database("nova"))
        database.drop_database("nova")
        write_row(database.create_database("nova"))


def test_a_database_name_that_needs_quoting_is_refused(state: Path) -> None:
    database = Postgres(state / "database")
    with pytest.raises(ServiceError, match="not a database name"):
        database.create_database("x; DROP")


def test_a_part_that_cannot_listen_says_so_with_its_log_and_stops(state: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        database = Postgres(state / "database", port=taken.getsockname()[1])
        with pytest.raises(ServiceError, match="Address already in use"):
            database.start()


def test_a_part_is_found_again_by_its_directory(state: Path) -> None:
    with Postgres(state / "database") as first:
        again = Postgres(state / "database")
        assert again.url() == first.url()
        assert again.is_ready()
        again.stop()
        assert not first.is_ready()


def test_purge_removes_the_directory(state: Path) -> None:
    database = Postgres(state / "database")
    database.start()
    database.purge()
    assert not (state / "database").exists()


def test_settings_with_passwords_are_private(state: Path) -> None:
    RabbitMQ(state / "broker")
    assert (state / "broker" / "settings.json").stat().st_mode & 0o777 == 0o600


def send(url: str, *, body: str, arguments: dict[str, str] | None = None) -> None:
    """Put one persistent message into queue `kept` of the broker."""
    with Connection(url) as connection:
        queue = connection.SimpleQueue(
            Queue("kept", durable=True, queue_arguments=arguments, routing_key="kept"),
            serializer="json",
        )
        queue.put(body, delivery_mode=2)
        queue.close()


def receive(url: str, *, arguments: dict[str, str] | None = None) -> object:
    """Take one message from queue `kept`."""
    with Connection(url) as connection:
        queue = connection.SimpleQueue(
            Queue("kept", durable=True, queue_arguments=arguments, routing_key="kept"),
            serializer="json",
        )
        message = queue.get(timeout=20)
        message.ack()
        queue.close()
        return message.payload


def test_the_broker_keeps_quorum_messages_over_a_crash_and_has_separate_vhosts(state: Path) -> None:
    quorum = {"x-queue-type": "quorum"}
    with RabbitMQ(state / "broker") as broker:
        send(broker.amqp_url(), body="still here", arguments=quorum)
        time.sleep(2)  # a queue as young as a second does not survive, see RabbitMQ.kill9
        broker.kill9()
        assert not broker.is_ready()
        broker.start()
        assert receive(broker.amqp_url(), arguments=quorum) == "still here"

        assert broker.create_vhost("other") == broker.url + "other"
        send(broker.amqp_url("other"), body="classic")
        assert receive(broker.amqp_url("other")) == "classic"

        wrong = broker.amqp_url().replace(f"nova:{broker.password}", "guest:guest")
        with pytest.raises(amqp.exceptions.AccessRefused):
            Connection(wrong).connect()
    assert not broker.is_ready()


def test_a_process_is_ended_by_a_caller_with_more_open_files_than_select_takes(state: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    sleeper = Process("sleeper", state)
    with contextlib.ExitStack() as held:
        for _ in range(1100):
            held.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        sleeper.start(["sleep", "1000"])
        sleeper.end()
    assert not sleeper.is_alive()


def test_a_process_that_ignores_sigterm_is_killed_at_the_deadline(state: Path) -> None:
    stubborn = Process("stubborn", state)
    stubborn.start(
        [sys.executable, "-c", "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(1000)",
         str(state / "ignores")]
    )
    wait_until((state / "ignores").exists, "the process to ignore SIGTERM")
    stubborn.end(deadline_s=0.5)
    assert not stubborn.is_alive()


def test_a_record_of_a_dead_process_never_points_at_a_later_one_with_its_pid(state: Path) -> None:
    process = Process("gone", state)
    (state / "gone.process").write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert not process.is_alive()
    process.end()


def test_the_kvm_device_gets_group_and_mode_once(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(mode=0o600)
    assert fix_kvm_device(device)
    assert device.stat().st_mode & 0o777 == 0o660
    assert not fix_kvm_device(device)
