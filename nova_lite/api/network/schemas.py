# SPDX-License-Identifier: Apache-2.0
"""Parts of JSON schemas and values that all resources of the network service share."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite.api.wsgi import responses
from nova_lite.api.wsgi.responses import STRING, closed, many

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string", "maxLength": 255}
BOOL: Schema = {"type": "boolean"}
UUID: Schema = {"type": "string", "format": "uuid"}
UUIDS: Schema = {"type": "array", "items": UUID, "maxItems": 100}
NULL: Schema = {"type": "null"}
ADDRESS: Schema = {"type": "string", "maxLength": 64}
# In responses.
FIXED_IPS: responses.Schema = many(closed(subnet_id=STRING, ip_address=STRING))
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


def shown(key: str, fields: responses.Fields) -> responses.Schema:
    """The response of GET `{key: {…}}`: all of these fields, or those that the query's `fields` selects."""
    return closed(**{key: _selected(fields)})


def listed(key: str, fields: responses.Fields) -> responses.Schema:
    """The response of GET `{key: [{…}]}`, with `KEY_links` if another page follows; fields as in `shown`."""
    return responses.page(key, _selected(fields))


def _selected(fields: responses.Fields) -> responses.Schema:
    return closed({field.name: field.schema for field in fields})


def moment(when: datetime.datetime | None) -> str | None:
    """A row's time in Neutron's format."""
    return None if when is None else f"{when.replace(microsecond=0).isoformat()}Z"
