# SPDX-License-Identifier: Apache-2.0
"""What clients add to projects, users and roles beside the attributes that this service knows: kept and shown, as by Keystone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, Property, Schema, schema_at, view
from nova_lite.api.wsgi.service import UNVERSIONED
from nova_lite.db.identity.users import Extra

OPTIONS = {"type": "object", "maxProperties": 16}
_MAX_BYTES = 16 * 1024  # of one row, as JSON
_SHOWN = frozenset({"links"})  # what a client sends back of what it was shown
_OPTIONS = "options"


def body(key: str, properties: Mapping[str, Any], *, required: Iterable[str] = ()) -> Schema:
    """The schema of a body `{key: {…}}` with any further properties."""
    inner = {"type": "object", "properties": {**properties, _OPTIONS: OPTIONS}, "required": list(required)}
    return {"type": "object", "properties": {key: inner}, "required": [key]}


def shown(*fields: Field | Property) -> Schema:
    """The response's object: these fields and whatever clients have added."""
    return {**schema_at(tuple(fields), UNVERSIONED), "additionalProperties": True}


def show(req: Request, fields: Iterable[Field], row: Extra) -> Body:
    """The row's fields, and what clients have added to it."""
    extra = row.extra or {}
    return {**extra, **view(fields, row, req), _OPTIONS: extra.get(_OPTIONS, {})}


def keep(row: Extra, params: Body, known: Collection[str], *, options: Collection[str] = (), row_id: str = "") -> None:
    """Add to the row what this service has no column for; `known`: what it has one for. `options`: those that may be true.

    :raises errors.InvalidField: an option that would have no effect, another `id`, or more than fits.
    """
    if params.get("id", row_id) != row_id:
        raise errors.InvalidField(field="id", reason="cannot be chosen or changed")
    added = {name: value for name, value in params.items() if name not in known and name not in _SHOWN and name != "id"}
    for name, value in added.get(_OPTIONS, {}).items():
        if value and name not in options:
            raise errors.InvalidField(field=f"options/{name}", reason="this option is not supported")
    if not added:
        return
    extra = {**(row.extra or {}), **added}
    extra[_OPTIONS] = {**(row.extra or {}).get(_OPTIONS, {}), **added.get(_OPTIONS, {})}
    if len(json.dumps(extra)) > _MAX_BYTES:
        raise errors.InvalidField(field=sorted(added)[0], reason=f"all further attributes have at most {_MAX_BYTES} bytes")
    row.extra = extra
