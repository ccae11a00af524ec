# SPDX-License-Identifier: Apache-2.0
"""Opens the database: one `Database` per process, sessions opened at the edges."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Session, sessionmaker

from nova_lite import errors
from nova_lite.db import clock, deadlines, patterns, sqlite_writers
from nova_lite.db.base import utcnow
from nova_lite.db.changes import KEY, Change

_PING_AFTER_S = 1.0


def url_of(conf: cfg.ConfigOpts) -> str:
    """The configured URL, or a SQLite file in `state_path`."""
    return str(conf.database.connection) or f"sqlite:///{os.path.join(conf.state_path, 'nova-lite.sqlite')}"


class Database:
    """Sessions of one database. `reader()` sees committed rows; `writer()` is one transaction.

    `limit_s`: a statement, or a wait for a connection, ends with an OperationalError after so long; None: never. SQLite
    has limits of its own. `prepares`: PostgreSQL plans once what a connection runs often. `listeners` get, after each
    commit, the changes that changes.note() has recorded in it; they must not raise.
    """

    def __init__(
        self, url: str, *, pool_size: int = 16, limit_s: float | None = None, connect_s: int = 5, lost_s: int = 20, prepares: bool = True,
    ) -> None:
        self.url = sa.engine.make_url(url)
        self.listeners: list[Callable[[Sequence[Change]], None]] = []
        # SQLite has no server whose clock would be the one: it is this process's, and a test may set it.
        self.clock: Callable[[], datetime.datetime] = utcnow
        self._group: sqlite_writers.GroupSync | None = None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # Parameters of a statement that failed, such as user data, do not reach the log.
        options: dict[str, Any] = {"hide_parameters": True}
        if not self.is_sqlite:
            # The connection used last first: what it runs often is prepared, and those that only a rush needed stay small.
            options |= {"pool_size": pool_size, "max_overflow": 0, "pool_use_lifo": True, "pool_timeout": limit_s or 30,
                        "isolation_level": "READ COMMITTED", "connect_args": deadlines.connect_args(self.url, connect_s=connect_s, lost_s=lost_s)}
        if prepares and self.url.get_driver_name() == "psycopg2":
            from nova_lite.db import prepared  # noqa: PLC0415 - loads the driver, which other databases do not need

            options["connect_args"]["connection_factory"] = prepared.Connection
        self.engine = sa.create_engine(self.url, **options)
        if not self.is_sqlite:
            _ping_idle_connections(self.engine)
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "connect", self._give_sqlite_the_time)
            self._sqlite_writers()
        # Autocommit spares a reader two round trips a request; a reader never needs two queries to agree. A pool of
        # its own, since changing the mode of a connection takes a round trip too, as does on MariaDB a
        # ROLLBACK of nothing.
        self.reading: sa.Engine = self.engine.execution_options(is_reader=True)
        if not self.is_sqlite:
            self.reading = sa.create_engine(self.url, **{**options, "isolation_level": "AUTOCOMMIT"}, skip_autocommit_rollback=True)
            _ping_idle_connections(self.reading)
        if limit_s and not self.is_sqlite:
            bound = deadlines.Deadlines(limit_s)
            bound.attach(self.engine)
            bound.attach(self.reading)
        self._readers = sessionmaker(self.reading, autoflush=False, expire_on_commit=False)
        self._writers = sessionmaker(self.engine, expire_on_commit=False)

    @contextlib.contextmanager
    def reader(self) -> Iterator[Session]:
        """A session for queries only; what it loaded stays readable after it closes."""
        with self._readers() as session:
            yield session

    @contextlib.contextmanager
    def statement(self) -> Iterator[Session]:
        """A session for one statement that is a transaction by itself; a server needs no BEGIN and COMMIT around it."""
        with self.writer() if self.is_sqlite else self.reader() as session:
            yield session

    @contextlib.contextmanager
    def writer(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error."""
        changes: list[Change] = []
        with self._writers() as session, session.begin():
            if self.listeners:
                session.info[KEY] = changes
            yield session
        if changes:
            for listener in self.listeners:
                listener(changes)

    def sync(self) -> None:
        """Return when all that is committed would survive a power cut; PostgreSQL and MariaDB see to that at the commit.

        :raises errors.Unavailable: the disk failed.
        """
        if self._group is None:
            return
        try:
            self._group.wait()
        except OSError as error:
            raise errors.Unavailable(reason=f"The database could not be written: {error.strerror}") from error

    def _sqlite_writers(self) -> None:
        turns = sqlite_writers.Turns()

        def begin(connection: sa.Connection) -> None:
            # A writer takes the lock at once: a read lock that grows fails at once with SQLITE_BUSY, whatever the timeout.
            if connection.get_execution_options().get("is_reader", False):
                connection.exec_driver_sql("BEGIN")
                return
            sqlite_writers.take_turn(turns, connection)
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        sa.event.listen(self.engine, "begin", begin)
        sa.event.listen(self.engine, "checkin", lambda _connection, record: sqlite_writers.give_turn(turns, record))
        if self.url.database and self.url.database != ":memory:":
            self._group = sqlite_writers.GroupSync(sqlite_writers.WriteAheadLog(self.url.database).sync)

    def _give_sqlite_the_time(self, connection: Any, _record: Any) -> None:  # DBAPI objects have no type
        connection.create_function(clock.SQLITE_FUNCTION, 1, lambda seconds: clock.sqlite_text(self.clock(), seconds))

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
        self.reading.dispose()


def open_database(conf: cfg.ConfigOpts, *, limit_s: float | None = None) -> Database:
    """The configured database; its tables are made by migrations (`nova-lite db sync`). `limit_s`: see Database."""
    if not conf.database.connection:
        # It holds password hashes; SQLite would make it readable by all, and gives its journals the file's mode.
        os.close(os.open(os.path.join(conf.state_path, "nova-lite.sqlite"), os.O_CREAT | os.O_RDWR, 0o600))
    return Database(
        url_of(conf), pool_size=conf.database.max_pool_size, limit_s=limit_s, connect_s=conf.database.connect_timeout,
        lost_s=conf.database.tcp_user_timeout, prepares=conf.database.prepared_statements)


def _ping_idle_connections(engine: sa.Engine) -> None:
    """As `pool_pre_ping`, but only for connections that were idle: pinging at every use costs a fifth of a small query."""

    @sa.event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:  # the pool's types
        record.info["idle_since"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _proxy: Any) -> None:  # the pool's types
        idle_since = record.info.get("idle_since")
        if idle_since is None or time.monotonic() - idle_since < _PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error  # the pool tries again with a new connection, and drops the old


def _prepare_sqlite(connection: Any, _record: Any) -> None:  # DBAPI objects have no type
    connection.isolation_level = None  # pysqlite would begin transactions late; _begin_sqlite does it right
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=20000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    # In place of SQLAlchemy's, which backtracks: one pattern of a user could hold the process for hours.
    connection.create_function("regexp", 2, patterns.sqlite_regexp, deterministic=True)
