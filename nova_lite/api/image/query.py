# SPDX-License-Identifier: Apache-2.0
"""Parses the query of an image list: filters, `in:` lists and sorting, as in Glance v2."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Callable, Sequence
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi.validation import integer, moment
from nova_lite.db.image.images import COMMUNITY, COMPARISONS, PRIVATE, PUBLIC, SHARED, SORTABLE, Filters

HASH_ALGO = "sha512"  # of all images
_NEWEST_FIRST = (("created_at", True),)
_MAX_SIZE = 10**18 - 1  # bytes
_PAGING = ("limit", "marker", "sort", "sort_key", "sort_dir", "member_status")


def filters_of(query: Any) -> Filters:
    """The filters of a query; a parameter that is not an attribute filters on the custom property of that name.

    :raises errors.BadRequest: a value has not its attribute's type.
    """
    moments = []
    equal: dict[str, list[Any]] = {"os_hidden": [False]}
    properties: dict[str, str] = {}
    for name, text in query.items():
        if name in _EQUAL:
            column, read = _EQUAL[name]
            equal[column] = [read(name, value) for value in _values(name, text)]
        elif name in _MOMENTS:
            moments.append((name, *_moment(name, text)))
        elif name not in _OWN and name not in _PAGING:
            properties[name] = text
    return Filters(
        equal=equal, properties=properties, tags=query.getall("tag"), visibility=_visibility(query.get("visibility")),
        size_min=_optional_number(query, "size_min"), size_max=_optional_number(query, "size_max"),
        moments=moments, is_hashed=query["os_hash_algo"] == HASH_ALGO if "os_hash_algo" in query else None)


def sort_of(query: Any) -> Sequence[tuple[str, bool]]:
    """The requested order, `sort=name:asc,size` or `sort_key` with `sort_dir`: (key, is it descending).

    :raises errors.BadRequest: an unknown key or direction.
    """
    if query.get("sort"):
        pairs = [entry.strip().partition(":")[::2] for entry in query["sort"].split(",")]
    else:
        directions = query.getall("sort_dir")
        pairs = [
            (key, directions[min(number, len(directions) - 1)] if directions else "desc")
            for number, key in enumerate(query.getall("sort_key"))
        ]
        if not pairs and directions:
            pairs = [("created_at", directions[0])]
    return [_order(key, direction or "desc") for key, direction in pairs] or _NEWEST_FIRST


def _order(key: str, direction: str) -> tuple[str, bool]:
    if key not in SORTABLE:
        raise errors.BadRequest(reason=f"Cannot sort by {key}; sort keys are {', '.join(sorted(SORTABLE))}")
    if direction not in ("asc", "desc"):
        raise errors.BadRequest(reason=f"Unknown sort direction {direction}: it is asc or desc")
    return key, direction == "desc"


def _values(name: str, text: str) -> list[str]:
    """`in:a,"b,c"` is a list; anything else one value."""
    if not text.startswith("in:"):
        return [text]
    values = next(csv.reader([text.removeprefix("in:")], skipinitialspace=True), [])
    if not values or "" in values:
        raise errors.BadRequest(reason=f"The list of {name} has an empty value")
    return values


def _visibility(text: str | None) -> str | None:
    if text not in (None, PUBLIC, COMMUNITY, SHARED, PRIVATE, "all"):
        raise errors.BadRequest(reason=f"Unknown visibility {text}: it is public, community, shared, private or all")
    return text


def _text(_name: str, text: str) -> str:
    return text


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise errors.BadRequest(reason=f"{name} must be true or false, not {text!r}")
    return text.lower() == "true"


def _number(name: str, text: str) -> int:
    number = integer(text, maximum=_MAX_SIZE)
    if number is None:
        raise errors.BadRequest(reason=f"{name} must be a whole number, not {text!r}")
    return number


def _moment(name: str, text: str) -> tuple[str, datetime.datetime]:
    """`gt:2026-01-31T12:00:00Z`: the operator and the time in UTC; without an operator the time is to be equal."""
    operator, colon, value = text.partition(":")
    if not colon or operator not in COMPARISONS:
        operator, value = "eq", text
    found = moment(value)
    if found is None:
        raise errors.BadRequest(
            reason=f"{name} must be a time in ISO 8601, also after one of {', '.join(COMPARISONS)} and a colon, not {text!r}")
    return operator, found


def _optional_number(query: Any, name: str) -> int | None:
    return _number(name, query[name]) if name in query else None


# Query parameter: (column, parser of its text).
_EQUAL: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "id": ("id", _text), "name": ("name", _text), "names": ("name", _text), "status": ("status", _text),
    "owner": ("owner", _text), "disk_format": ("disk_format", _text), "container_format": ("container_format", _text),
    "checksum": ("checksum", _text), "os_hash_value": ("hash_value", _text), "min_disk": ("min_disk_gb", _number),
    "min_ram": ("min_ram_mb", _number), "size": ("size", _number), "protected": ("protected", _boolean),
    "os_hidden": ("os_hidden", _boolean), "virtual_size": ("virtual_size", _number),
}
_MOMENTS = ("created_at", "updated_at")
_OWN = ("tag", "visibility", "size_min", "size_max", "os_hash_algo")
