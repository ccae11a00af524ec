# SPDX-License-Identifier: Apache-2.0
"""The words in which `answers` and `small_answers` describe answers: JSON schemas of the parts that many have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_lite.api.wsgi.responses import Field, Schema
from nova_lite.api.wsgi.rules import ANYONE
from nova_lite.api.wsgi.versions import Version

STRING: Schema = {"type": "string"}
WORD_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?$"}
TIME_OR_NULL: Schema = {"anyOf": [TIME, {"type": "null"}]}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"}
WORDS: Schema = {"type": "object", "additionalProperties": STRING}
OBJECT: Schema = {"type": "object"}


def closed(optional: Mapping[str, Schema] | None = None, /, **properties: Schema) -> Schema:
    """An object of these properties; those of `optional` may be missing."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": sorted(properties),
            "additionalProperties": False}


def many(item: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": item}


def words(names: str, schema: Schema) -> dict[str, Schema]:
    """The same schema for each of these names."""
    return dict.fromkeys(names.split(), schema)


LINKS: Schema = many(closed({"type": STRING}, rel=STRING, href=STRING))
AGGREGATE: dict[str, Schema] = {"hosts": many(STRING), "metadata": WORDS}
SERVICE_OF_HYPERVISOR: Schema = closed(id={"type": ["integer", "string"]}, host=STRING, disabled_reason=WORD_OR_NULL)
GUESTS: Schema = many(closed(uuid=UUID, name=STRING))


def shape(fields: Iterable[Field], version: Version, types: Mapping[str, Schema], **more: Schema) -> Schema:
    """The object that `responses.view` makes of these fields at this version, with `more` properties beside."""
    held = [field for field in fields if field.versions.holds(version)]
    properties = {field.name: types.get(field.name, {}) for field in held} | more
    required = sorted({field.name for field in held if field.role == ANYONE} | set(more))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
