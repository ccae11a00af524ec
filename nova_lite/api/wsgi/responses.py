# SPDX-License-Identifier: Apache-2.0
"""What routes answer: tables of fields with their microversions and types, from which bodies and JSON schemas are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.rules import ANYONE
from nova_lite.api.wsgi.versions import Range, Version, parse

_FIRST = "2.0"
Schema = dict[str, Any]  # a JSON schema; a tuple of fields may stand wherever it has the schema of an object

STRING: Schema = {"type": "string"}
STRING_OR_NULL: Schema = {"type": ["string", "null"]}
INTEGER: Schema = {"type": "integer"}
INTEGER_OR_NULL: Schema = {"type": ["integer", "null"]}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?$"}
TIME_OR_NULL: Schema = {"anyOf": [TIME, NULL]}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"}
OBJECT: Schema = {"type": "object"}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}  # of any names: metadata, extra specs
EMPTY_LIST: Schema = {"type": "array", "maxItems": 0}


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
    """One field of a response: `read(row)` gives its value; it is there from `since` to `until`.

    `role`: only for callers with it. Fields compare by identity: tuples of them are cache keys on every request.
    """

    name: str
    read: Callable[[Any], Any]
    schema: Shape
    since: str = _FIRST
    until: str | None = None
    role: str = ANYONE
    versions: Range = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", Range(parse(self.since), parse(self.until) if self.until else None))

    @property
    def is_optional(self) -> bool:
        """Whether some callers do not see it."""
        return self.role != ANYONE


@dataclasses.dataclass(frozen=True, eq=False)
class Property:
    """One property of a response that the handler adds by itself, from `since` to `until`; `is_optional`: not always."""

    name: str
    schema: Shape
    since: str = _FIRST
    until: str | None = None
    is_optional: bool = False
    versions: Range = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", Range(parse(self.since), parse(self.until) if self.until else None))


Fields = tuple[Field | Property, ...]
Shape = Schema | Fields


def view(fields: Iterable[Field], row: Any, req: Request) -> Body:
    """The row as this request may see it: fields of its version and role."""
    version, roles = req.version, req.ctxt.roles
    return {
        field.name: field.read(row) for field in fields
        if field.versions.holds(version) and (not field.role or field.role in roles)
    }


def many(item: Shape) -> Schema:
    """A list of these."""
    return {"type": "array", "items": item}


def nullable(shape: Shape) -> Schema:
    """This or null."""
    return {"anyOf": [shape, NULL]}


def closed(optional: Mapping[str, Shape] | None = None, /, **properties: Shape) -> Schema:
    """An object of these properties and no others; those of `optional` may be missing."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": sorted(properties),
            "additionalProperties": False}


def each(names: str, shape: Shape) -> dict[str, Shape]:
    """The same type for each of these names, which are separated by spaces."""
    return dict.fromkeys(names.split(), shape)


LINKS: Schema = many(closed({"type": STRING}, rel=STRING, href=STRING))


def page(key: str, item: Shape) -> Schema:
    """`{key: [items]}`, with `KEY_links` where another page follows."""
    return closed({f"{key}_links": LINKS}, **{key: many(item)})


def schema_at(shape: Any, version: Version) -> Any:
    """The JSON schema of the shape at this version: each tuple of fields becomes the object that they make."""
    if isinstance(shape, tuple):
        return _object([field for field in shape if field.versions.holds(version)], version)
    if isinstance(shape, dict):
        return {name: schema_at(inner, version) for name, inner in shape.items()}
    if isinstance(shape, list):
        return [schema_at(inner, version) for inner in shape]
    return shape


def _object(fields: list[Field | Property], version: Version) -> Schema:
    return {
        "type": "object", "properties": {field.name: schema_at(field.schema, version) for field in fields},
        "required": sorted({field.name for field in fields if not field.is_optional}), "additionalProperties": False}
