# SPDX-License-Identifier: Apache-2.0
"""SQLite's writers come in their order, and an answer waits for a sync that began after its commit."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.engine import Database
from nova_lite.db.sqlite_writers import GroupSync, Turns, WriteAheadLog
from tests.support import databases
from tests.support.wait import wait_until


def test_turns_are_in_the_order_of_coming() -> None:
    turns, order = Turns(), list[int]()
    turns.take()

    def work(number: int) -> None:
        turns.take()
        order.append(number)
        turns.give()

    threads = []
    for number in range(6):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        wait_until(lambda: turns.waiting == len(threads), "the thread to wait")
    turns.give()
    for thread in threads:
        thread.join()
    assert order == list(range(6))


def test_a_writer_that_fails_gives_its_turn_to_the_next(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/db")
    with pytest.raises(sa.exc.OperationalError), database.writer() as session:
        session.execute(sa.text("INSERT INTO missing VALUES (1)"))
    with database.writer() as session:
        assert session.scalar(sa.text("SELECT 1")) == 1
    database.close()


def test_many_callers_share_a_sync_and_each_gets_one_that_began_after_it() -> None:
    begun, release = threading.Semaphore(0), threading.Semaphore(0)
    syncs: list[int] = []

    def sync() -> None:
        syncs.append(1)
        begun.release()
        release.acquire()

    group = GroupSync(sync)
    threads = [threading.Thread(target=group.wait) for _ in range(9)]
    threads[0].start()
    begun.acquire()
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: group.waiting == 8, "the others to wait")
    release.release()
    threads[0].join()
    begun.acquire()
    assert all(thread.is_alive() for thread in threads[1:])
    release.release()
    for thread in threads[1:]:
        thread.join()
    assert len(syncs) == 2


def test_a_failed_sync_is_an_error_for_all_that_waited_for_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/db")

    def sync() -> None:
        raise OSError(5, "Input/output error")

    database._group = GroupSync(sync)  # a disk that fails
    with pytest.raises(errors.Unavailable, match="Input/output error"):
        database.sync()
    database.close()


def test_the_log_of_a_database_is_found_and_synced(tmp_path: Path) -> None:
    database = databases.fresh(tmp_path)
    assert database.url.get_backend_name() == "sqlite"
    with database.writer() as session:
        session.execute(sa.text("CREATE TABLE t (i int)"))
    log = WriteAheadLog(str(database.url.database))
    log.sync()
    assert log.syncs == 1
    database.sync()
    database.close()
    log.sync()
    assert log.syncs == 1  # with the last connection SQLite has put all into the database itself
