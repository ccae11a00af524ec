# SPDX-License-Identifier: Apache-2.0
"""Brings a database to this version's tables by alembic, on SQLite, PostgreSQL and MariaDB alike."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import command, script
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

_DIRECTORY = os.path.join(os.path.dirname(__file__), "migrations")


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration without a file; migrations run on `connection`."""
    made = Config()
    made.set_main_option("script_location", _DIRECTORY)
    made.attributes["connection"] = connection
    return made


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Upgrade to `revision`; nothing happens when it is there already. Two processes at once: one waits."""
    with engine.connect() as connection:
        _lock(connection)
        command.upgrade(config(connection), revision)
        connection.commit()


def current(engine: sa.Engine) -> str | None:
    """The database's revision; None: it has no tables of ours."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """This version's revision."""
    return str(script.ScriptDirectory.from_config(config()).get_current_head())


def _lock(connection: sa.Connection) -> None:
    """PostgreSQL and SQLite release the lock with the transaction, MariaDB with the connection.

    A transaction that is open before alembic looks is left open by it; else it commits between migrations.
    """
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(823540017)"))
    elif backend in ("mysql", "mariadb"):
        connection.execute(sa.text("SELECT GET_LOCK('nova_lite_migrate', 60)"))
    else:
        connection.execute(sa.text("SELECT 1"))  # begins a transaction, which takes SQLite's one writer lock
