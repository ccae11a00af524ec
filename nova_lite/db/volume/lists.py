# SPDX-License-Identifier: Apache-2.0
"""Filters, order and pages of the lists of block storage, turned into SQL once for all of its resources."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from nova_lite.db import listing
from nova_lite.db.base import Base

_Row = TypeVar("_Row", bound=Base)
COMPARISONS: Mapping[str, Callable[[Any, datetime.datetime], sa.ColumnElement[bool]]] = {
    "gt": lambda column, moment: column > moment,
    "gte": lambda column, moment: column >= moment,
    "lt": lambda column, moment: column < moment,
    "lte": lambda column, moment: column <= moment,
    "eq": lambda column, moment: column == moment,
    "neq": lambda column, moment: column != moment,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """What to list, by the public names of fields. `project_id` None: of all projects; `is_admin`: hidden rows too.

    `equal`: the value, None is NULL. `parts`: text that the value contains. `items`: what a field of key-value pairs has.
    `moments`: (field, operator of COMPARISONS, time).
    """

    project_id: str | None = None
    is_admin: bool = False
    equal: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    items: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    moments: Sequence[tuple[str, str, datetime.datetime]] = ()


@dataclasses.dataclass(frozen=True)
class Lists(Generic[_Row]):
    """The lists of one resource. `columns` filter; `order` are the columns that order, without NULLs; `items` the key-value pairs.

    `hidden`: the rows that only an administrator sees; `always`: a condition of all.
    """

    row: type[_Row]
    columns: listing.Columns
    order: listing.Columns
    items: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # JSON columns
    hidden: sa.ColumnElement[bool] | None = None
    always: sa.ColumnElement[bool] | None = None

    def query(self, filters: Filters) -> sa.Select[Any]:
        """The rows that match."""
        return sa.select(self.row).where(*self.where(filters))

    def seen(self, filters: Filters) -> sa.Select[Any]:
        """The rows that the caller may see, whatever the query's filters."""
        return sa.select(self.row).where(*self._seen(filters))

    def where(self, filters: Filters) -> list[sa.ColumnElement[bool]]:
        """The conditions of rows that match."""
        return [*self._seen(filters), *self._matching(filters)]

    def _seen(self, filters: Filters) -> list[sa.ColumnElement[bool]]:
        seen: list[sa.ColumnElement[bool]] = [] if self.always is None else [self.always]
        if filters.project_id is not None:
            seen.append(self.columns["project_id"] == filters.project_id)
        if self.hidden is not None and not filters.is_admin:
            seen.append(sa.not_(self.hidden))
        return seen

    def _matching(self, filters: Filters) -> list[sa.ColumnElement[bool]]:
        kept = listing.matching(self.columns, {name: [value] for name, value in filters.equal.items()})
        kept += [_contains(self.columns[name], text) for name, text in filters.parts.items() if text]
        kept += [COMPARISONS[operator](self.columns[name], moment) for name, operator, moment in filters.moments]
        for name, items in filters.items.items():
            kept += [self.items[name][key].as_string() == value for key, value in items.items()]
        return kept


def _contains(column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    """By REPLACE, which nowhere folds case, and to which no character is special: LIKE folds it in SQLite and MariaDB."""
    value = sa.func.coalesce(column, "")
    return sa.func.replace(value, text, "") != value


def newest(lists: Lists[_Row], filters: Filters) -> sa.Select[Any]:
    """The rows that match, the newest first."""
    return lists.query(filters).order_by(lists.columns["created_at"].desc(), lists.columns["id"].desc())


def sortable(column: Any) -> Any:  # SQLAlchemy's columns
    """The column, with a value in place of NULL: it sorts differently on each database, and no row comes after it."""
    if not column.nullable:
        return column
    kind = column.type.python_type
    return sa.func.coalesce(column, "" if kind is str else _EARLIEST if kind is datetime.datetime else 0)


_EARLIEST = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - as rows, without a zone; MariaDB knows no year before 1000
