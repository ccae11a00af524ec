# SPDX-License-Identifier: Apache-2.0
"""The one clock that leases, deadlines and heartbeats are compared by: the database's, as SQL expressions."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from nova_lite.db.base import Time

SQLITE_FUNCTION = "nova_lite_time"


class _Time(FunctionElement[datetime.datetime]):
    """The database's time in UTC, `seconds` from now, with microseconds."""

    type = Time
    inherit_cache = True
    name = "database_time"

    def __init__(self, seconds: Any) -> None:  # a number or a bind parameter
        super().__init__(seconds if isinstance(seconds, sa.ColumnElement) else sa.literal(seconds, sa.Float))


def now() -> sa.ColumnElement[datetime.datetime]:
    """The database's time."""
    return after(0.0)


def after(seconds: float | sa.ColumnElement[Any]) -> sa.ColumnElement[datetime.datetime]:
    """The database's time so many seconds from now; negative: ago."""
    return _Time(seconds)


def read(session: Any) -> datetime.datetime:  # a Session, or a Connection
    """What the database's clock shows."""
    moment: datetime.datetime = session.scalar(_NOW)
    return moment


_NOW = sa.select(now())  # built once: building a statement costs several times what running it does


def sqlite_text(moment: datetime.datetime, seconds: float) -> str:
    """The moment as SQLAlchemy keeps it in SQLite, `seconds` later."""
    return (moment + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")


@compiles(_Time)
def _default(element: _Time, compiler: Any, **options: Any) -> str:  # SQLAlchemy's types
    return f"{SQLITE_FUNCTION}({compiler.process(element.clauses, **options)})"


@compiles(_Time, "postgresql")
def _postgresql(element: _Time, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() AT TIME ZONE 'UTC' + {seconds} * INTERVAL '1 second')"


@compiles(_Time, "mysql", "mariadb")
def _mariadb(element: _Time, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"TIMESTAMPADD(MICROSECOND, CAST({seconds} * 1000000 AS SIGNED), UTC_TIMESTAMP(6))"
