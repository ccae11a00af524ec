# SPDX-License-Identifier: Apache-2.0
"""The schema of bodies that set quotas, and how a body's names are read: types have quotas of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body
from nova_lite.api.wsgi.responses import INTEGER, Schema
from nova_lite.api.wsgi.validation import MAX_INTEGER
from nova_lite.db.volume import quota

_IGNORED = ("tenant_id", "id")  # clients send them back
_MAX_NAMES = 1000
_LIMIT: Schema = {"anyOf": [{"type": "integer", "minimum": -1, "maximum": MAX_INTEGER},
                            {"type": "string", "pattern": "^(-1|[0-9]{1,10})$", "format": "digits"}]}
_TEXT: Schema = {"type": ["string", "null"], "maxLength": 255}


def update_schema(key: str) -> Schema:
    """The schema of a body `{key: …}` that sets some quotas, of types too."""
    return schemas.keyed(key, {
        "type": "object", "properties": {**dict.fromkeys(quota.NAMES, _LIMIT), **dict.fromkeys(_IGNORED, _TEXT)},
        "patternProperties": {r"^(volumes|gigabytes|snapshots)_[\s\S]{1,255}$": _LIMIT}, "additionalProperties": False,
        "maxProperties": _MAX_NAMES, "minProperties": 1})


def shape(item: Schema, **others: Schema) -> Schema:
    """The response of a set of quotas, of which each has this value."""
    return {"type": "object", "properties": {**dict.fromkeys(quota.NAMES, item), **others}, "additionalProperties": item,
            "required": [*quota.NAMES, *others]}


LIMITS = shape(INTEGER)


def read_limits(params: Body, known: Collection[str]) -> Mapping[str, int]:
    """The limits that the body sets.

    :raises errors.InvalidField: a quota of a type that does not exist.
    """
    limits = {name: int(value) for name, value in params.items() if name not in _IGNORED}
    for name, limit in limits.items():
        if name not in known:
            raise errors.InvalidField(field=name, reason="there is no such quota: no volume type has this name")
        if limit > MAX_INTEGER:
            raise errors.InvalidField(field=name, reason=f"{limit} is greater than {MAX_INTEGER}")
    return limits
