# SPDX-License-Identifier: Apache-2.0
"""The declarative base of all tables: column types that mean the same on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler

# MariaDB's DATETIME drops microseconds without fsp=6; times are UTC without a zone everywhere.
Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
# MariaDB's TEXT ends at 64 KiB, less than user data plus its base64 overhead may need.
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def utcnow() -> datetime.datetime:
    """Now in UTC, without a zone, as rows keep it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def new_id() -> str:
    """A new resource id: a random UUID with dashes."""
    return str(uuid.uuid4())


_Select = TypeVar("_Select", bound=sa.Select[Any])


def for_update(query: _Select, *, key_share: bool = False) -> _Select:
    """The query with its rows locked until the transaction ends; `key_share`: their keys may be referred to meanwhile.

    Objects that the session has loaded before get the values that are locked: by default the ORM would keep the old
    ones, and what is computed from them would overwrite what another transaction has just committed.
    """
    return query.with_for_update(key_share=key_share).execution_options(populate_existing=True)


class InsertUnlessTaken(sa.Insert):
    """An insert that does nothing where a unique key is taken: its `rowcount` says whether the row is new.

    Spares a savepoint around an insert that may lose a race. On MariaDB a foreign key that refers to nothing counts as
    taken too (INSERT IGNORE).
    """

    inherit_cache = True


@compiles(InsertUnlessTaken)
def _or_nothing(insert: InsertUnlessTaken, compiler: SQLCompiler, **options: Any) -> str:  # SQLAlchemy's
    text: str = compiler.visit_insert(insert, **options)  # type: ignore[no-untyped-call]
    return f"{text} ON CONFLICT DO NOTHING"


@compiles(InsertUnlessTaken, "mysql", "mariadb")
def _or_ignore(insert: InsertUnlessTaken, compiler: SQLCompiler, **options: Any) -> str:  # SQLAlchemy's
    text: str = compiler.visit_insert(insert.prefix_with("IGNORE"), **options)  # type: ignore[no-untyped-call]
    return text


class Base(DeclarativeBase):
    """Base of every model; constraint names are fixed so that migrations can name them."""

    metadata = sa.MetaData(naming_convention={
        "ix": "ix_%(column_0_N_label)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s",
    })
    type_annotation_map = {  # SQLAlchemy reads it from the class
        str: sa.String(255), datetime.datetime: Time, dict[str, Any]: sa.JSON, dict[str, str]: sa.JSON,
        list[str]: sa.JSON, int: sa.Integer, bool: sa.Boolean, float: sa.Float,
    }


class Timestamps:
    """When the row was made and last changed."""

    created_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(onupdate=utcnow)
