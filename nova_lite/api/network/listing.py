# SPDX-License-Identifier: Apache-2.0
"""Parses the query of a list request as Neutron does (filters, order, page, fields) and builds the list."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from nova_lite import errors
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.validation import integer, moment
from nova_lite.db import listing

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_Row = TypeVar("_Row")
_BOOLS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
_KEYWORDS = frozenset({"limit", "marker", "fields", "sort_key", "sort_dir", "page_reverse"})
# Neutron's timestamps; their columns order lists, but filters on them belong to another extension.
_NEVER_FILTERS = frozenset({"created_at"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListQuery:
    """A list request's query; `is_empty`: a filter on a constant field matches no row."""

    filters: Mapping[str, Sequence[object]]
    page: listing.Page
    is_empty: bool = False


def read(
    req: Request,
    columns: listing.Columns,
    *,
    constants: Mapping[str, str] | None = None,
    extra: Iterable[str] = (),
) -> ListQuery:
    """The query's filters on `columns`, its order and page. `constants`: fields with one value for all rows.

    `extra` names parameters that the handler reads itself.

    :raises errors.BadRequest: an unknown parameter or a wrong value, named.
    """
    filters: dict[str, Sequence[object]] = {}
    is_empty = False
    for name in dict.fromkeys(req.query):
        values = req.query.getall(name)
        if name in _KEYWORDS or name in extra:
            continue
        if constants is not None and name in constants:
            is_empty = is_empty or constants[name].lower() not in {value.lower() for value in values}
        elif name == listing.CHANGED_SINCE:
            filters[name] = [_time(name, value) for value in values]
        elif name in listing.TAG_FILTERS and listing.has_tags(columns):
            filters[name] = [value.split(",") for value in values]
        elif name in columns and name not in _NEVER_FILTERS:
            filters[name] = [_value(name, columns, value) for value in values]
        else:
            raise errors.BadRequest(
                reason=f"Invalid input for operation: {name!r} is not a filter of this resource."
            )
    page = listing.Page(limit=_limit(req), marker=req.query.get("marker"), order=_order(req, columns))
    return ListQuery(filters=filters, page=page, is_empty=is_empty)


def _value(name: str, columns: listing.Columns, text: str) -> object:
    kind = columns[name].type.python_type
    if kind is bool:
        if text.lower() not in _BOOLS:
            raise errors.BadRequest(reason=f"Invalid input for {name}. Reason: '{text}' is not a boolean.")
        return _BOOLS[text.lower()]
    if kind is int:
        if text in ("", "null", "None"):
            return None
        number = integer(text)
        if number is None:
            raise errors.BadRequest(reason=f"Invalid input for {name}. Reason: '{text}' is not an integer.")
        return number
    return None if text == "" and columns[name].nullable else _canonical(name, text)


def _time(name: str, text: str) -> datetime.datetime:
    found = moment(text)
    if found is None:
        raise errors.BadRequest(reason=f"Invalid input for {name}. Reason: '{text}' is not a time in ISO 8601.")
    return found


def _canonical(name: str, text: str) -> str:
    """The spelling in which rows have the value: MACs and UUIDs in small letters, prefixes without host bits."""
    if name == "mac_address":
        return text.lower().replace("-", ":")
    if _UUID.fullmatch(text):
        return text.lower()
    if name == "cidr":
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_network(text, strict=False))
    return text


def _limit(req: Request) -> int:
    # limit=0 means no limit in Neutron; here a page ends at [api] max_limit and links to the next one.
    return paging.limit(req) or int(req.conf.api.max_limit)


def _order(req: Request, columns: listing.Columns) -> tuple[tuple[str, bool], ...]:
    keys, directions = req.query.getall("sort_key"), req.query.getall("sort_dir")
    if req.query.get("page_reverse", "false").lower() not in ("false", "0"):
        raise errors.BadRequest(reason="page_reverse is not supported: use sort_dir.")
    if directions and len(directions) != len(keys):
        raise errors.BadRequest(reason="The number of sort_keys and sort_dirs must be same")
    order = []
    for key, direction in zip(keys, directions or ["asc"] * len(keys), strict=True):
        if key not in columns or columns[key].nullable:
            raise errors.BadRequest(reason=f"{key} is invalid attribute for sort_key")
        if direction not in ("asc", "desc"):
            raise errors.BadRequest(
                reason=f"{direction} is invalid value for sort_dirs, possible values: asc, desc"
            )
        order.append((key, direction == "desc"))
    return tuple(order) or (("created_at", False),)


def write(
    req: Request, collection: str, rows: Sequence[_Row], query: ListQuery, view: Callable[[_Row], Body]
) -> Body:
    """The list: the requested `fields` of each row, and the link to the next page if this one is full."""
    items = [view(row) for row in rows]
    page: Body = {collection: [only_fields(req, item) for item in items]}
    if items and len(items) == query.page.limit:
        path = f"/{collection.replace('_', '-')}"
        page[f"{collection}_links"] = [paging.next_link(req, path=path, marker=str(items[-1]["id"]))]
    return page


def only_fields(req: Request, item: Body) -> Body:
    """The fields that the query names, or all if it names none."""
    names = set(req.query.getall("fields"))
    return {name: value for name, value in item.items() if name in names} if names else item
