# SPDX-License-Identifier: Apache-2.0
"""Filters, order and pages of a listing, turned into SQL once for all resources of the network API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors

_Row = TypeVar("_Row")
Columns = Mapping[str, sa.ColumnElement[Any]]
CHANGED_SINCE = "changed_since"  # a filter on the time of the last change, or of the creation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a listing: `limit` None is all; `marker` is the id before the first row.

    `order` holds (public field name, is descending), most significant first; the id breaks ties.
    """

    limit: int | None = None
    marker: str | None = None
    order: tuple[tuple[str, bool], ...] = (("created_at", False),)


ALL = Page()


def matching(columns: Columns, filters: Mapping[str, Sequence[object]]) -> list[sa.ColumnElement[bool]]:
    """One condition per filter: the column is one of the filter's values; None means NULL. For CHANGED_SINCE see there."""
    return [_changed_since(columns, values) if name == CHANGED_SINCE else _one_of(columns[name], values)
            for name, values in filters.items()]


def _changed_since(columns: Columns, values: Sequence[object]) -> sa.ColumnElement[bool]:
    made: Any = columns["created_at"]  # a table's column
    return sa.and_(*(sa.func.coalesce(made.table.c.updated_at, made) >= value for value in values))


def _one_of(column: sa.ColumnElement[Any], values: Sequence[object]) -> sa.ColumnElement[bool]:
    present = [value for value in values if value is not None]
    parts: list[sa.ColumnElement[bool]] = [column.in_(present)] if present else []
    if len(present) < len(values):
        parts.append(column.is_(None))
    return sa.or_(*parts)


def paged(
    session: Session, query: sa.Select[_Row], columns: Columns, page: Page, *, seen: sa.Select[Any]
) -> sa.Select[_Row]:
    """The query ordered and cut to the page. Only columns without NULL may order.

    The marker is looked up in `seen`: all rows that the caller may see, without the query's filters, which it may have left.

    :raises errors.InvalidMarker: the marker is none of them.
    """
    keys = [(columns[name], is_down) for name, is_down in page.order if name != "id"]
    keys.append((columns["id"], any(name == "id" and is_down for name, is_down in page.order)))
    if page.marker is not None:
        only = seen.where(columns["id"] == page.marker).with_only_columns(*(column for column, _ in keys))
        last = session.execute(only.order_by(None)).first()
        if last is None:
            raise errors.InvalidMarker(marker=page.marker)
        query = query.where(_after(keys, tuple(last)))
    query = query.order_by(*(column.desc() if is_down else column.asc() for column, is_down in keys))
    return query if page.limit is None else query.limit(page.limit)


def _after(
    keys: Sequence[tuple[sa.ColumnElement[Any], bool]], last: tuple[Any, ...]
) -> sa.ColumnElement[bool]:
    """Rows that come after `last`; spelled out, since row values cannot mix directions."""
    ways: list[sa.ColumnElement[bool]] = []
    for count, (column, is_down) in enumerate(keys):
        same = [before == value for (before, _), value in zip(keys[:count], last, strict=False)]
        ways.append(sa.and_(*same, column < last[count] if is_down else column > last[count]))
    return sa.or_(*ways)
