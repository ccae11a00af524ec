# SPDX-License-Identifier: Apache-2.0
"""Pages, order and counts of lists as the Block Storage API has them, read from the query and written to the response."""

from __future__ import annotations

import functools
import operator
import urllib.parse
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.links import url
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, LINKS, Property, Schema, Shape, closed, many
from nova_lite.api.wsgi.versions import parse
from nova_lite.db import listing
from nova_lite.db.listing import Page

PARAMETERS = ("limit", "marker", "offset", "sort", "sort_key", "sort_dir")
NEWEST_FIRST = (("created_at", True),)
COUNTED_SINCE = "3.45"
_COUNTED_SINCE = parse(COUNTED_SINCE)
_DIRECTIONS = ("asc", "desc")
_Row = TypeVar("_Row")


def read_page(req: Request, *, sort_keys: Collection[str], order: tuple[tuple[str, bool], ...] = NEWEST_FIRST) -> Page:
    """The page that the query requests; without `sort` or `sort_key`: in this order.

    :raises errors.BadRequest: limit or direction are wrong, a sort key is not one of these, or `sort` stands beside `sort_key`.
    """
    return Page(limit=paging.limit(req), marker=req.query.get("marker"), order=_order(req, sort_keys) or order)


def _order(req: Request, sort_keys: Collection[str]) -> tuple[tuple[str, bool], ...]:
    sort, keys, directions = req.query.get("sort"), req.query.get("sort_key"), req.query.get("sort_dir")
    if sort is not None and (keys is not None or directions is not None):
        raise errors.BadRequest(reason="The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter.")
    if sort is None and keys is None and directions is None:
        return ()
    pairs = [entry.strip().partition(":")[::2] for entry in sort.split(",")] if sort else [(keys or "created_at", directions or "desc")]
    return tuple(_sorted_by(key.strip(), direction.strip() or "desc", sort_keys) for key, direction in pairs)


def _sorted_by(key: str, direction: str, sort_keys: Collection[str]) -> tuple[str, bool]:
    if key not in sort_keys:
        raise errors.BadRequest(reason=f"Sort key {key[:64]!r} is invalid: it must be one of {', '.join(sorted(sort_keys))}")
    if direction not in _DIRECTIONS:
        raise errors.BadRequest(reason=f"Unknown sort direction {direction[:16]!r}, must be one of {', '.join(_DIRECTIONS)}.")
    return key, direction == "desc"


def rows_of(
    req: Request, session: Session, query: sa.Select[tuple[_Row]], columns: listing.Columns, page: Page, *, seen: sa.Select[Any]
) -> list[_Row]:
    """The page's rows; `columns`, `seen` as for `listing.paged`, and `offset` of the query is applied too.

    :raises errors.NotFound: the marker is none of `seen`. :raises errors.BadRequest: the offset is wrong.
    """
    skipped = paging.offset(req)
    try:
        found = listing.paged(session, query, columns, page, seen=seen)
    except errors.InvalidMarker:
        raise _no_marker(page) from None
    return list(session.scalars(found.offset(skipped) if skipped else found))


def slice_of(req: Request, rows: Sequence[_Row], page: Page) -> list[_Row]:
    """The page of these rows, which are few enough to be sorted here; their attributes have the names of the sort keys.

    :raises errors.NotFound: the marker is none of them. :raises errors.BadRequest: the offset is wrong.
    """
    ordered = sorted(rows, key=operator.attrgetter("id"))
    for key, is_descending in reversed(page.order):
        ordered.sort(key=functools.partial(_sort_value, key), reverse=is_descending)
    skipped = paging.offset(req)
    if page.marker is not None:
        position = next((index for index, row in enumerate(ordered) if operator.attrgetter("id")(row) == page.marker), None)
        if position is None:
            raise _no_marker(page)
        skipped += position + 1
    return ordered[skipped:][:page.limit]


def _sort_value(key: str, row: object) -> tuple[bool, Any]:  # of any type that can be compared
    value = operator.attrgetter(key)(row)
    return value is not None, value if value is not None else 0


def _no_marker(page: Page) -> errors.NotFound:
    return errors.NotFound(f"marker [{page.marker}] not found: there is no such resource.")


def links_of(req: Request, key: str, path: str, page: Page, ids: Sequence[str]) -> Body:
    """`{key_links: [next]}` when the page of the list at `path`, with these ids, is full; else nothing."""
    if not ids or len(ids) != page.limit:
        return {}
    query = [(name, value) for name, value in req.query.items() if name not in ("marker", "offset")]
    query.append(("marker", ids[-1]))
    return {f"{key}_links": [{"rel": "next", "href": f"{url(req, path)}?{urllib.parse.urlencode(query)}"}]}


def count_of(req: Request, session: Session, query: sa.Select[Any]) -> Body:
    """`{"count": n}` of all rows of the query, where `with_count` requests it from 3.45 on; else nothing.

    :raises errors.BadRequest: `with_count` is no boolean.
    """
    if req.version < _COUNTED_SINCE or not boolean(req, "with_count"):
        return {}
    return {"count": session.scalar(sa.select(sa.func.count()).select_from(query.order_by(None).subquery())) or 0}


def boolean(req: Request, name: str, *, otherwise: bool = False) -> bool:
    """The query's boolean of this name.

    :raises errors.BadRequest: it is none.
    """
    text = req.query.get(name)
    if text is None:
        return otherwise
    if text.lower() not in schemas.TRUE_STRINGS + schemas.FALSE_STRINGS:
        raise errors.BadRequest(reason=f"Invalid value for {name}: {text[:40]!r} is not a boolean.")
    return text.lower() in schemas.TRUE_STRINGS


def page_of(key: str, item: Shape, *, links: str = "") -> tuple[Property, ...]:
    """The response `{key: [items]}`, with `key_links` (or `links`) when the page is full, and `count` from 3.45 on."""
    return (
        Property(key, many(item)), Property(links or f"{key}_links", LINKS, is_optional=True),
        Property("count", INTEGER, since=COUNTED_SINCE, is_optional=True))


def plain_page_of(key: str, item: Shape, *, links: str = "") -> Schema:
    """As `page_of` for lists that are never counted."""
    return closed({links or f"{key}_links": LINKS}, **{key: many(item)})
