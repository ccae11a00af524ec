# SPDX-License-Identifier: Apache-2.0
"""Filters, order and pages of a listing, turned into SQL once for all resources of the network API."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors

_Row = TypeVar("_Row")
Columns = Mapping[str, sa.ColumnElement[Any]]
TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")  # each a list of tags
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
    return [_condition(columns, name, values) for name, values in filters.items()]


def _condition(columns: Columns, name: str, values: Sequence[Any]) -> sa.ColumnElement[bool]:
    if name == CHANGED_SINCE:
        return _changed_since(columns, values)
    return _tagged(columns, name, values) if name in TAG_FILTERS else _one_of(columns[name], values)


def has_tags(columns: Columns) -> bool:
    """Whether these resources have tags."""
    return "tags" in _table(columns).c


def _tagged(columns: Columns, name: str, lists: Sequence[Sequence[str]]) -> sa.ColumnElement[bool]:
    column, join = _table(columns).c.tags, sa.or_ if name.endswith("-any") else sa.and_
    found = sa.and_(*(join(*(has_tag(column, tag) for tag in tags)) for tags in lists))
    return sa.not_(found) if name.startswith("not-") else found


def has_tag(column: sa.ColumnElement[Any], tag: str) -> sa.ColumnElement[bool]:
    """The tag is an element of the JSON list, which all three databases keep as its text, and a tag in it as its quoted text.

    By REPLACE, which nowhere folds case: LIKE does in SQLite and MariaDB.
    """
    text = sa.func.coalesce(sa.cast(column, sa.Text), "")
    return sa.func.replace(text, json.dumps(tag), "") != text


def _table(columns: Columns) -> Any:  # SQLAlchemy types the columns of a table as any elements
    created_at: Any = columns["created_at"]
    return created_at.table


def _changed_since(columns: Columns, values: Sequence[object]) -> sa.ColumnElement[bool]:
    changed_at = sa.func.coalesce(_table(columns).c.updated_at, columns["created_at"])
    return sa.and_(*(changed_at >= value for value in values))


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
