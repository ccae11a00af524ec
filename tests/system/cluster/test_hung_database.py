# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL that hangs, or whose rows somebody locks: requests end with 503 in less than two seconds, and go on afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from nova_lite.db.engine import Database
from tests.support.wait import wait_until
from tools.lib.services import Postgres
from tools.lib.services.processes import descendants

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as its own user: needs root")
LIMIT_S = 1.0
ANSWERED_S = 2.0


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    server.sql("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    yield server
    server.kill9()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    opened = Database(postgres.url(), pool_size=4, limit_s=LIMIT_S)
    yield opened
    opened.close()


@contextlib.contextmanager
def hung(server: Postgres) -> Iterator[None]:
    pids = [server.pid, *(child.pid for child in descendants(server.pid))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def query(database: Database) -> int | None:
    with database.reader() as session:
        return session.scalar(sa.text("SELECT i FROM t"))


def ends_in_s(database: Database) -> float:
    """How long a query took to fail."""
    began = time.monotonic()
    with pytest.raises((sa.exc.OperationalError, sa.exc.TimeoutError)):
        query(database)
    return time.monotonic() - began


@pytest.mark.timed
def test_queries_of_a_hung_server_end_in_time_and_work_again_afterwards(postgres: Postgres, database: Database) -> None:
    assert query(database) == 1
    with hung(postgres):
        times: list[float] = []
        threads = [threading.Thread(target=lambda: times.append(ends_in_s(database))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times.append(ends_in_s(database))
        assert max(times) < ANSWERED_S
        assert len(times) == 13
    wait_until(lambda: _is_back(database), "the database to answer")


@pytest.mark.timed
def test_a_new_connection_to_a_hung_server_ends_in_time(postgres: Postgres, database: Database) -> None:
    with hung(postgres):
        assert ends_in_s(database) < ANSWERED_S
    wait_until(lambda: _is_back(database), "the database to answer")


@pytest.mark.timed
def test_a_row_that_is_locked_by_another_costs_an_error_and_no_connection(postgres: Postgres, database: Database) -> None:
    other = Database(postgres.url(), pool_size=1)
    with other.writer() as holder:
        holder.execute(sa.text("UPDATE t SET i = 1"))
        began = time.monotonic()
        with pytest.raises(sa.exc.OperationalError), database.writer() as session:
            session.execute(sa.text("UPDATE t SET i = 1"))
        assert time.monotonic() - began < ANSWERED_S
        assert query(database) == 1
    other.close()


def test_a_statement_within_the_limit_is_left_alone(database: Database) -> None:
    with database.writer() as session:
        assert session.scalar(sa.text("SELECT 7 FROM pg_sleep(0.5)")) == 7


def _is_back(database: Database) -> bool:
    with contextlib.suppress(sa.exc.OperationalError):
        return query(database) == 1
    return False
