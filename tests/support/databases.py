# SPDX-License-Identifier: Apache-2.0
"""The databases of tests that run in one process: a SQLite file each, or a real server's when the environment says so.

`NOVA_LITE_TEST_DATABASE=postgresql pytest tests/api tests/flows` starts a PostgreSQL for the run; `mariadb` a MariaDB.
"""

from __future__ import annotations

import atexit
import functools
import gc
import itertools
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nova_lite.db.base import Base
from nova_lite.db.engine import Database
from tools.lib.services import MariaDB, Postgres

KINDS = {"postgresql": Postgres, "mariadb": MariaDB}
_KIND = os.environ.get("NOVA_LITE_TEST_DATABASE", "sqlite")
_numbers = itertools.count()
_compiled: dict[Any, Any] = {}
_free: list[str] = []  # databases of the server that nobody uses now; their tables are there


def fresh(directory: Path) -> Database:
    """All tables and no rows. A server's connections and databases are used again once nobody holds the object."""
    if _KIND == "sqlite":
        path = directory / "cloud.sqlite"
        path.write_bytes(_empty_file())
        return _share_compiled(Database(f"sqlite:///{path}"))
    if not _free:
        gc.collect()
    if not _free:
        _free.append(_server().create_database(f"test{next(_numbers)}"))
        Base.metadata.create_all(Database(_free[-1]).engine)
    url = _free.pop()
    database = Database(url, pool_size=4)
    weakref.finalize(database, _take_back, url, database.engine, database.reading)
    with database.engine.begin() as connection:
        _empty(connection)
    return database


def _share_compiled(database: Database) -> Database:
    """Let it use the SQL that databases before it compiled; SQLAlchemy keeps it by dialect object and statement."""
    for engine in (database.engine, database.reading):
        engine.dialect = _dialect()
        engine.update_execution_options(compiled_cache=_compiled)
    return database


@functools.cache
def _dialect() -> sa.Dialect:
    """SQLite's, as it is once something has connected."""
    database = Database("sqlite://")
    with database.reader() as session:
        session.execute(sa.text("SELECT 1"))
    database.close()
    return database.engine.dialect


def _empty(connection: sa.Connection) -> None:
    """Numbers start at 1 again, too. Only what has rows is touched: DDL on all tables takes longer than most tests."""
    for table in reversed(Base.metadata.sorted_tables):
        had_rows = connection.execute(table.delete()).rowcount > 0
        numbered = table.autoincrement_column
        if had_rows and numbered is not None:
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


@functools.cache
def _server() -> Postgres | MariaDB:
    directory = tempfile.mkdtemp(prefix="nova-lite-databases-")
    server = KINDS[_KIND](Path(directory))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(server.stop)
    server.start()
    return server
