# SPDX-License-Identifier: Apache-2.0
"""Reads the filters of a list request: which a caller may use at which microversion, and their values."""

from __future__ import annotations

import ast
import dataclasses
import datetime
from collections.abc import Collection, Mapping
from typing import Any

from nova_lite import errors
from nova_lite.api.volume.common import paging, schemas
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.validation import has_no_text, integer, moment
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume.lists import COMPARISONS, Filters, Lists

_REFUSED_SINCE, _PARTS_SINCE, _TIMES_SINCE = parse("3.31"), parse("3.34"), parse("3.60")
_STRICT_SINCE = parse("3.2")
_KEYWORDS = frozenset({*paging.PARAMETERS, "with_count", "all_tenants"})
_ALIASES = {"display_name": "name", "display_description": "description"}
_MAX_ITEMS_TEXT = 4000  # characters of a filter that is a dictionary
_NULLS = ("", "none", "null")


@dataclasses.dataclass
class _Read:
    """The filters that have been read so far."""

    equal: dict[str, Any] = dataclasses.field(default_factory=dict)
    parts: dict[str, str] = dataclasses.field(default_factory=dict)
    items: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    moments: list[tuple[str, str, datetime.datetime]] = dataclasses.field(default_factory=list)


def read(req: Request, lists: Lists[Any], allowed: Mapping[str, str], *, also: Collection[str] = ()) -> Filters:
    """The query's filters, and whose resources it lists. `allowed`: filters of every caller, with the microversion that added each.
    `also`: parameters that are no filters.

    Administrators filter by any column, and list all projects' with `all_tenants`.

    :raises errors.BadRequest: a filter is unknown to the caller (from 3.31 on; ignored before), or its value is wrong.
    """
    found, refused = _Read(), []
    for name in dict.fromkeys(req.query):
        if name in _KEYWORDS or name in also:
            continue
        field = _ALIASES.get(name.removesuffix("~"), name.removesuffix("~"))
        if not _is_allowed(req, lists, allowed, field) or (field != name and name.endswith("~") and req.version < _PARTS_SINCE):
            refused.append(name)
        elif parse(allowed.get(field, "3.0")) <= req.version:
            _read_one(req, lists, found, field, req.query.getall(name)[-1], is_part=name.endswith("~"))
    if refused and req.version >= _REFUSED_SINCE:
        names = ", ".join(name[:64] for name in refused[:16])
        raise errors.BadRequest(reason=f"Invalid filters {names} are found in query options.")
    return Filters(project_id=_project(req), is_admin=req.ctxt.is_admin, equal=found.equal, parts=found.parts, items=found.items,
                   moments=found.moments)


def _project(req: Request) -> str | None:
    """Whose resources to list; None: all projects'. `all_tenants` of others than administrators is ignored, since clients send it always."""
    if req.ctxt.is_admin and paging.boolean(req, "all_tenants"):
        return None
    return req.ctxt.project_id


def _is_allowed(req: Request, lists: Lists[Any], allowed: Mapping[str, str], field: str) -> bool:
    return field in allowed or (req.ctxt.is_admin and (field in lists.columns or field in lists.items))


def _read_one(req: Request, lists: Lists[Any], found: _Read, field: str, text: str, *, is_part: bool) -> None:
    if field in lists.items:
        found.items[field] = _dictionary(field, text)
        return
    kind = lists.columns[field].type.python_type
    if kind is datetime.datetime:
        if req.version >= _TIMES_SINCE:
            found.moments += _moments(field, text)
    elif is_part:
        if kind is not str:
            raise errors.BadRequest(reason=f"Invalid filter {field}~: {field} is no text")
        found.parts[field] = text
    else:
        found.equal[field] = _value(req, field, kind, text)


def _value(req: Request, field: str, kind: type, text: str) -> object:
    if kind is bool:
        if text.lower() in schemas.TRUE_STRINGS + schemas.FALSE_STRINGS:
            return text.lower() in schemas.TRUE_STRINGS
        if req.version < _STRICT_SINCE:
            return False
        raise errors.BadRequest(reason=f"Invalid value for {field}: {text[:40]!r} is not a boolean.")
    if kind is int:
        number = integer(text)
        if number is None:
            raise errors.BadRequest(reason=f"Invalid value for {field}: {text[:40]!r} is not a number.")
        return number
    return None if field in ("migration_status", "instance_id") and text.lower() in _NULLS else text


def _dictionary(field: str, text: str) -> dict[str, str]:
    """`{'key': 'value'}`, as clients write dictionaries of Python."""
    try:
        value = ast.literal_eval(text) if len(text) <= _MAX_ITEMS_TEXT else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict) or not all(isinstance(one, str) and not has_no_text(one) for pair in value.items() for one in pair):
        raise errors.BadRequest(reason=f"Invalid value for {field}: it must be of the form {{'key': 'value'}}")
    if len(value) > schemas.MAX_METADATA:
        raise errors.BadRequest(reason=f"Invalid value for {field}: at most {schemas.MAX_METADATA} keys are allowed")
    return value


def _moments(field: str, text: str) -> list[tuple[str, str, datetime.datetime]]:
    """`gt:2026-01-01T00:00:00,lt:…`."""
    found = []
    for part in text.split(","):
        operator, colon, value = part.partition(":")
        if not colon or operator not in COMPARISONS:
            raise errors.BadRequest(reason=f"Invalid {field} filter {part[:64]!r}: it must be OPERATOR:TIME, with one of {', '.join(COMPARISONS)}")
        time = moment(value)
        if time is None:
            raise errors.BadRequest(reason=f"Invalid {field} filter: {value[:40]!r} is not a time in ISO 8601.")
        found.append((field, operator, time))
    return found
