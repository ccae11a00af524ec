# SPDX-License-Identifier: Apache-2.0
"""The databases of tests that run in one process: a SQLite file each, or a real server's when the environment says so.

`NOVA_LITE_TEST_DATABASE=postgresql pytest tests/api/servers` starts a PostgreSQL for the run; `mariadb` a MariaDB. Tests that
advance the database's clock, as some of flows do, pass on SQLite alone: a server's clock is its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import itertools
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from nova_lite.db import clock
from nova_lite.db.base import Base
from nova_lite.db.engine import Database
from tools.lib.services import MariaDB, Postgres

T = TypeVar("T")
KINDS = {"postgresql": Postgres, "mariadb": MariaDB}
ALL_KINDS = ("sqlite", *KINDS)
_KIND = os.environ.get("NOVA_LITE_TEST_DATABASE", "sqlite")
_numbers = itertools.count()
_compiled: dict[Any, Any] = {}
_filled: dict[object, tuple[bytes, tuple[str, ...], Any]] = {}
_AT_ONCE = 6  # before memory is looked through for those that nobody uses: that takes as long as a test
_free: list[str] = []  # databases of the server that nobody uses now; their tables are there


@contextlib.contextmanager
def running(kind: str, directory: Path) -> Iterator[str]:
    """The URL of an empty database of this kind, one of ALL_KINDS, that several processes can open."""
    if kind == "sqlite":
        yield f"sqlite:///{directory}/shared.sqlite"
        return
    with KINDS[kind](directory) as server:
        yield server.create_database("shared")


def fresh(directory: Path) -> Database:
    """All tables and no rows. A server's connections and databases are used again once nobody holds the object."""
    if _KIND == "sqlite":
        path = directory / "cloud.sqlite"
        path.write_bytes(_empty_file())
        return _share_compiled(Database(f"sqlite:///{path}"))
    number = next(_numbers) if not _free else 0
    if number >= _AT_ONCE:
        gc.collect()
    if not _free:
        _free.append(_server().create_database(f"test{number}"))
        Base.metadata.create_all(Database(_free[-1]).engine)
    url = _free.pop()
    database = _share_compiled(Database(url, pool_size=4))
    weakref.finalize(database, _take_back, url, database.engine, database.reading)
    with database.engine.begin() as connection:
        _empty(connection)
    return database


def fill(database: Database, key: object, work: Callable[[], T]) -> T:
    """Do `work`, which writes to the database of this process alone; what it returns.

    With SQLite it is done once for a key: later databases get a copy of the file, with all times as of now.
    """
    if _KIND != "sqlite":
        return work()
    if key not in _filled:
        result = work()
        with database.engine.connect() as connection:
            _filled[key] = _contents(connection), _set_times(connection), result
        return result
    contents, statements, result = _filled[key]
    database.close()
    Path(str(database.url.database)).write_bytes(contents)
    with database.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, (clock.sqlite_text(database.clock(), 0.0),))
    return result


@contextlib.contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that this thread sends to the database meanwhile; SQLite's BEGIN is none elsewhere."""
    statements: list[str] = []
    thread = threading.get_ident()

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == thread and statement.split()[0] != "BEGIN":
            statements.append(statement)

    engines = [database.engine]
    if database.reading.pool is not database.engine.pool:
        engines.append(database.reading)
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


def _share_compiled(database: Database) -> Database:
    """Let it use the SQL that databases before it compiled; SQLAlchemy keeps it by dialect object and statement."""
    for engine, dialect in zip((database.engine, database.reading), _dialects(), strict=True):
        engine.dialect = dialect
        engine.update_execution_options(compiled_cache=_compiled)
    return database


@functools.cache
def _dialects() -> tuple[sa.Dialect, sa.Dialect]:
    """Of the two engines, as they are once something has connected."""
    database = Database("sqlite://" if _KIND == "sqlite" else _server().create_database("dialects"))
    for engine in (database.engine, database.reading):
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    database.close()
    return database.engine.dialect, database.reading.dialect


def _empty(connection: sa.Connection) -> None:
    """Numbers start at 1 again, too. Only what has rows is touched: DDL on all tables takes longer than most tests."""
    tables = Base.metadata.sorted_tables
    has_rows = connection.execute(sa.select(*(sa.exists(sa.select(sa.literal(1)).select_from(table)) for table in tables))).one()
    for table in reversed([table for table, has in zip(tables, has_rows, strict=True) if has]):
        connection.execute(table.delete())
        numbered = table.autoincrement_column
        if numbered is not None:
            connection.exec_driver_sql(
                f"ALTER SEQUENCE {table.name}_{numbered.name}_seq RESTART" if _KIND == "postgresql"
                else f"ALTER TABLE {table.name} AUTO_INCREMENT = 1")


def _take_back(url: str, *engines: sa.Engine) -> None:
    for engine in engines:
        engine.dispose()
    _free.append(url)


@functools.cache
def _empty_file() -> bytes:
    """Made once: tests are many and DDL is slow."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{directory}/empty.sqlite")
        Base.metadata.create_all(database.engine)
        database.close()
        return Path(directory, "empty.sqlite").read_bytes()


def _contents(connection: sa.Connection) -> bytes:
    """Of the SQLite file, with what is still in its log."""
    raw: Any = connection.connection.dbapi_connection
    return bytes(raw.serialize())


def _set_times(connection: sa.Connection) -> tuple[str, ...]:
    """Statements that set what is a time in the rows that are there."""
    times = [column for table in Base.metadata.sorted_tables for column in table.columns if isinstance(column.type, sa.DateTime)]
    return tuple(f"UPDATE {column.table.name} SET {column.name} = ? WHERE {column.name} IS NOT NULL" for column in times
                 if connection.scalar(sa.select(sa.func.count(column))))


@functools.cache
def _server() -> Postgres | MariaDB:
    directory = tempfile.mkdtemp(prefix="nova-lite-databases-")
    server = KINDS[_KIND](Path(directory))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(server.stop)
    server.start()
    return server
