# SPDX-License-Identifier: Apache-2.0
"""Parts of JSON schemas and values that all resources of the network service share."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string", "maxLength": 255}
BOOL: Schema = {"type": "boolean"}
UUID: Schema = {"type": "string", "format": "uuid"}
UUIDS: Schema = {"type": "array", "items": UUID, "maxItems": 100}
NULL: Schema = {"type": "null"}
ADDRESS: Schema = {"type": "string", "maxLength": 64}
OWNER: Schema = {
    "tenant_id": {"type": "string", "maxLength": 64},
    "project_id": {"type": "string", "maxLength": 64},
}


def maybe(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [NULL, schema]}


def body(key: str, properties: Schema, *, required: Sequence[str] = ()) -> Schema:
    """The schema of a body `{key: {…}}`; unknown properties are refused."""
    return {
        "type": "object",
        "required": [key],
        "additionalProperties": False,
        "properties": {
            key: {
                "type": "object",
                "additionalProperties": False,
                "required": list(required),
                "properties": dict(properties),
            }
        },
    }


def moment(when: datetime.datetime | None) -> str | None:
    """A row's time in Neutron's format."""
    return None if when is None else f"{when.replace(microsecond=0).isoformat()}Z"
