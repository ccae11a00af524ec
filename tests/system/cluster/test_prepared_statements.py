# SPDX-License-Identifier: Apache-2.0
"""What a connection to PostgreSQL runs often is prepared, and answers as it did before; no transaction fails for it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg2.extensions
import psycopg2.extras
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.engine import Database
from nova_lite.lifecycle.servers import Vm
from tools.lib.services import Postgres

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as its own user: needs root")
OFTEN = 6
FIND = sa.text("SELECT i, s FROM t WHERE i = :i")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    postgres.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (i int, s varchar(9)); INSERT INTO t VALUES (1, '1'), (2, '2%')")
    opened = Database(postgres.url(), pool_size=1)
    yield opened
    opened.close()


def prepared(session: Session) -> list[str]:
    return [row.statement for row in session.execute(sa.text("TABLE pg_prepared_statements"))]


def often(session: Session, statement: sa.Executable = FIND, **values: Any) -> list[list[sa.Row[Any]]]:
    """What each of the first uses answered, the last of them prepared."""
    return [list(session.execute(statement, values).all()) for _ in range(OFTEN)]


def test_a_reader_prepares_what_it_runs_often(database: Database) -> None:
    for before in range(OFTEN):
        with database.reader() as session:
            assert (before, prepared(session)) == (before, [])
            assert session.execute(FIND, {"i": 1}).all() == [(1, "1")]
    with database.reader() as session:
        assert [" AS ".join(text.split(" AS ")[1:]) for text in prepared(session)] == ["SELECT i, s FROM t WHERE i = $1"]
        assert session.execute(FIND, {"i": 2}).all() == [(2, "2%")]


def test_nothing_is_prepared_when_the_option_is_off(postgres: Postgres, database: Database) -> None:
    plain = Database(postgres.url(), pool_size=1, prepares=False)
    with plain.reader() as session:
        often(session, i=1)
        assert prepared(session) == []
    plain.close()


@pytest.mark.parametrize("value", [
    5, -5, 2**31, 2**40, 2**70, True, None, "x", "5", "it's 5 %", 1.5, 1e30, float("nan"), Decimal("2.50"), datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.date(2026, 1, 2), [1, 2], Vm.ACTIVE,
], ids=repr)
def test_a_value_has_the_type_that_it_has_as_a_literal(database: Database, value: Any) -> None:
    statement = sa.text("SELECT :value, pg_typeof(:value)::text, 'a%'")
    with database.reader() as session:
        assert len({repr(rows) for rows in often(session, statement, value=value)}) == 1


def test_a_number_that_the_column_cannot_have_is_not_found(database: Database) -> None:
    with database.reader() as session:
        often(session, i=1)
        assert often(session, i=2**40) == [[]] * OFTEN


def test_rows_that_change_are_counted_and_returned(database: Database) -> None:
    with database.writer() as session:
        for uses in range(OFTEN + 1):
            changed: Any = session.execute(sa.text("UPDATE t SET s = :s WHERE i > :i"), {"s": str(uses), "i": 0})
            assert changed.rowcount == 2
            assert session.execute(sa.text("INSERT INTO t VALUES (:i, :s) RETURNING i, s"), {"i": -uses, "s": None}).all() == [(-uses, None)]
        assert len(prepared(session)) == 2


def test_a_statement_that_cannot_be_prepared_runs_in_a_transaction_that_goes_on(database: Database) -> None:
    with database.writer() as session:
        session.execute(sa.text("INSERT INTO t VALUES (3, '3')"))
        for _ in range(2):  # of two types
            assert often(session, sa.text("SELECT i FROM t WHERE i = :x AND s = :x"), x="3") == [[(3,)]] * OFTEN
        assert prepared(session) == []
    with database.reader() as session:
        assert session.execute(FIND, {"i": 3}).all() == [(3, "3")]


def test_a_timeout_while_it_is_prepared_is_an_error_as_any_other(postgres: Postgres, database: Database) -> None:
    other = Database(postgres.url(), pool_size=1)
    with database.writer() as session:
        for _ in range(OFTEN - 1):
            session.execute(FIND, {"i": 1})
    with other.writer() as holder:
        holder.execute(sa.text("LOCK TABLE t"))
        with pytest.raises(sa.exc.OperationalError, match="timeout"), database.writer() as session:
            session.execute(sa.text("SET LOCAL statement_timeout = 50"))
            session.execute(FIND, {"i": 1})
    other.close()
    with database.writer() as session:
        assert session.execute(FIND, {"i": 1}).all() == [(1, "1")]
        assert len(prepared(session)) == 1


def test_statements_go_on_when_a_column_has_got_another_type(postgres: Postgres, database: Database) -> None:
    with database.reader() as reader, database.writer() as writer:
        often(reader, i=1)
        often(writer, i=1)
    postgres.sql("ALTER TABLE t ALTER i TYPE bigint")
    with database.reader() as reader, database.writer() as writer:
        assert reader.execute(FIND, {"i": 1}).all() == [(1, "1")]
        assert writer.execute(FIND, {"i": 1}).all() == [(1, "1")]
        for session in (reader, writer):
            assert often(session, i=1) == [[(1, "1")]] * OFTEN
            assert len(prepared(session)) == 1


def test_a_transaction_that_meets_another_type_in_its_middle_is_to_be_repeated(postgres: Postgres, database: Database) -> None:
    with database.writer() as session:
        often(session, i=1)
    postgres.sql("ALTER TABLE t ALTER i TYPE bigint")
    with pytest.raises(sa.exc.OperationalError, match="repeated"), database.writer() as session:
        session.execute(sa.text("INSERT INTO t VALUES (3, '3')"))
        session.execute(FIND, {"i": 1})
    with database.writer() as session:
        session.execute(sa.text("INSERT INTO t VALUES (3, '3')"))
        assert often(session, i=3) == [[(3, "3")]] * OFTEN
        assert len(prepared(session)) == 1


def test_a_connection_whose_statements_a_pooler_has_lost_prepares_no_more(database: Database) -> None:
    with database.reader() as session:
        often(session, i=1)
        session.execute(sa.text("DEALLOCATE ALL"))
        assert often(session, i=1) * 2 == [[(1, "1")]] * OFTEN * 2
        assert prepared(session) == []


def test_a_statement_that_a_pooler_has_kept_is_used(database: Database) -> None:
    with database.engine.connect() as first:
        often(Session(first), i=1)
        kept = first.connection.dbapi_connection
        assert isinstance(kept, psycopg2.extensions.connection)
        kept._kept.clear()  # type: ignore[attr-defined]  # as another client of the pooler, which has not prepared it
        session = Session(first)
        assert often(session, i=2) == [[(2, "2%")]] * OFTEN
        assert len(prepared(session)) == 1


def test_what_is_kept_is_bounded(database: Database) -> None:
    with database.reader() as session:
        connection: Any = session.connection().connection.dbapi_connection
        with connection.cursor() as cursor:
            for number in range(120 * OFTEN):
                cursor.execute(f"SELECT 1 AS n{number // OFTEN}", {})
            for number in range(1100):
                cursor.execute(f"SELECT 2 AS n{number}", {})
        kept = {text.split()[-1] for text in prepared(session)}
        assert kept == {f"n{number}" for number in range(20, 120)}
        assert len(connection._uses) <= 1000


def test_a_timeout_while_one_is_prepared_for_another_does_not_spoil_the_connection(postgres: Postgres, database: Database) -> None:
    other = Database(postgres.url(), pool_size=1)
    with database.reader() as session:
        connection: Any = session.connection().connection.dbapi_connection
        with connection.cursor() as cursor:
            for number in range(100 * OFTEN):
                cursor.execute(f"SELECT 1 AS n{number // OFTEN}", {})
        for _ in range(OFTEN - 1):
            session.execute(FIND, {"i": 1})
        session.execute(sa.text("SET statement_timeout = 50"))
        with other.writer() as holder:
            holder.execute(sa.text("LOCK TABLE t"))
            with pytest.raises(sa.exc.OperationalError, match="timeout"):
                session.execute(FIND, {"i": 1})
        for number in range(2):
            assert often(session, sa.text(f"SELECT i + {number} FROM t WHERE i = :i"), i=1) == [[(1 + number,)]] * OFTEN
        assert often(session, i=1) == [[(1, "1")]] * OFTEN
        assert len(prepared(session)) == 3
    other.close()


def test_a_long_list_is_not_prepared(database: Database) -> None:
    some = sa.text("SELECT s FROM t WHERE i IN :some").bindparams(sa.bindparam("some", expanding=True))
    with database.reader() as session:
        assert often(session, some, some=[1, *range(1000, 1200)]) == [[("1",)]] * OFTEN
        assert prepared(session) == []
        assert often(session, some, some=[1, 2]) == [[("1",), ("2%",)]] * OFTEN
        assert len(prepared(session)) == 1


def test_rows_can_be_streamed(database: Database) -> None:
    with database.writer() as session:
        streamed = FIND.execution_options(stream_results=True)
        assert often(session, streamed, i=1) * 2 == [[(1, "1")]] * OFTEN * 2


def test_a_driver_that_waits_by_a_callback_as_with_eventlet_prepares_too(database: Database) -> None:
    psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)
    try:
        with database.writer() as session:
            assert often(session, i=1) == [[(1, "1")]] * OFTEN
            assert often(session, sa.text("SELECT i FROM t WHERE i = :x AND s = :x"), x="1") == [[(1,)]] * OFTEN
            assert session.execute(FIND, {"i": 2}).all() == [(2, "2%")]
            assert len(prepared(session)) == 1
    finally:
        psycopg2.extensions.set_wait_callback(None)
