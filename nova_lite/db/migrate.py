# SPDX-License-Identifier: Apache-2.0
"""Upgrades a database to this version's tables by alembic, on SQLite, PostgreSQL and MariaDB alike."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.db.engine import Database, open_database

if TYPE_CHECKING:
    from alembic.config import Config

LOG = logging.getLogger(__name__)
_DIRECTORY = os.path.join(os.path.dirname(__file__), "migrations")
NEWER_REMEDY = "start the release that upgraded it, or restore the backup from before"


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration without a file; migrations run on `connection`."""
    from alembic.config import Config  # noqa: PLC0415 - a fifth of a start's imports, and most upgrade nothing

    settings = Config()
    settings.set_main_option("script_location", _DIRECTORY)
    settings.attributes["connection"] = connection
    return settings


def upgrade(engine: sa.Engine, revision: str | None = None) -> None:
    """Upgrade to `revision`, or this version's; nothing happens when it is there already. Two processes at once: one waits.

    :raises errors.NewerDatabase: a later release has upgraded it.
    """
    target = revision or head()
    present = current(engine)
    if present == target:
        return
    if is_newer(present):
        raise errors.NewerDatabase(revision=present, head=head(), remedy=NEWER_REMEDY)
    from alembic import command  # noqa: PLC0415 - as above

    with engine.connect() as connection:
        _lock(connection)
        if _commits_ddl(connection):
            sa.event.listen(connection, "before_cursor_execute", _repeatable, retval=True)
            if not sa.inspect(connection).get_table_names():
                connection.exec_driver_sql("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")  # as 0017 has it
        command.upgrade(config(connection), target)
        connection.commit()


def open_upgraded(conf: cfg.ConfigOpts, *, limit_s: float | None = None) -> Database:
    """The configured database for a daemon, which needs one of its own release. One that does not answer now is not checked.

    :raises errors.OlderDatabase: it is to be upgraded first.
    :raises errors.NewerDatabase: a later release has upgraded it.
    """
    database = open_database(conf, limit_s=limit_s)
    try:
        present = current(database.engine)
    except sa.exc.OperationalError as error:
        LOG.warning("the database does not answer, so that its revision is not known: %s", str(error.orig).strip())
        return database
    if is_newer(present):
        raise errors.NewerDatabase(revision=present, head=head(), remedy=NEWER_REMEDY)
    if present != head():
        files = "".join(f" --config-file {shlex.quote(path)}" for path in conf.config_file or ())
        raise errors.OlderDatabase(revision=present or "none", head=head(), remedy=f"run nova-lite db sync{files}")
    return database


def current(engine: sa.Engine) -> str | None:
    """The database's revision; None: it has no tables of ours."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return revision


def head() -> str:
    """This version's revision: the number of the newest migration."""
    names = os.listdir(os.path.join(_DIRECTORY, "versions"))
    return max(match[0] for match in (re.match(r"\d{4}", name) for name in names) if match)


def is_newer(revision: str | None) -> bool:
    """Whether a later release has upgraded the database: revisions are numbers of four digits."""
    return revision is not None and revision > head()


# MariaDB commits each of these by itself, so that an upgrade that was killed has left some of them done.
_DDL = (
    (re.compile(r"(\s*CREATE TABLE )(?!IF )"), r"\1IF NOT EXISTS "),
    (re.compile(r"(\s*CREATE (?:UNIQUE )?INDEX )(?!IF )"), r"\1IF NOT EXISTS "),
    (re.compile(r"(\s*ALTER TABLE \S+ ADD COLUMN )(?!IF )"), r"\1IF NOT EXISTS "),
    (re.compile(r"(\s*(?:DROP TABLE|DROP INDEX|ALTER TABLE \S+ DROP COLUMN) )(?!IF )"), r"\1IF EXISTS "),
)


def _commits_ddl(connection: sa.Connection) -> bool:
    return connection.dialect.name in ("mysql", "mariadb")


def _repeatable(  # SQLAlchemy's shape
    _connection: sa.Connection, _cursor: object, statement: str, parameters: object, _context: object, _many: object,
) -> tuple[str, object]:
    for pattern, replacement in _DDL:
        statement = pattern.sub(replacement, statement, count=1) if pattern.match(statement) else statement
    return statement, parameters


def _lock(connection: sa.Connection) -> None:
    """PostgreSQL and SQLite release the lock with the transaction, MariaDB with the connection.

    A transaction that is open before alembic looks is left open by it; else it commits between migrations.
    """
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(823540017)"))
    elif _commits_ddl(connection):
        while connection.scalar(sa.text("SELECT GET_LOCK('nova_lite_migrate', 60)")) != 1:
            LOG.info("another process upgrades the database; waiting for it")
    else:
        connection.execute(sa.text("SELECT 1"))  # begins a transaction, which takes SQLite's one writer lock
