# SPDX-License-Identifier: Apache-2.0
"""Pieces of JSON schema that several compute resources share; their bounds are Nova's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nova_lite.api.wsgi.validation import MAX_INTEGER
from nova_lite.api.wsgi.versions import parse

Schema = dict[str, Any]

# Printable, and no white space at either end.
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?!\s)[^\x00-\x1f\x7f]+(?<!\s)$"}
UUID: Schema = {"type": "string", "format": "uuid"}
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
TEXT_OR_NULL: Schema = {"type": ["string", "null"], "minLength": 0, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]*$"}
DISK_CONFIG: Schema = {"enum": ["AUTO", "MANUAL"]}
IPV4: Schema = {"type": "string", "format": "ipv4"}
IPV6: Schema = {"type": "string", "format": "ipv6"}
METADATA: Schema = {
    "type": "object", "additionalProperties": False,
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
}
HOST: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9-._]*$"}
# Clients also send booleans as strings; these are all the spellings that Nova accepts.
TRUE_STRINGS = ("true", "1", "on", "yes", "t", "y")
FALSE_STRINGS = ("false", "0", "off", "no", "f", "n")
BOOLEAN: Schema = {"anyOf": [{"type": "boolean"}, {
    "type": "string", "pattern": r"^(?i:true|1|on|yes|false|0|off|no)$"}]}


def integer(minimum: int, maximum: int = MAX_INTEGER) -> Schema:
    """An integer from `minimum`, which is 0 or 1, to `maximum`, or its digits as a string; `int` reads either."""
    digits = r"^[0-9]{1,10}$" if minimum == 0 else r"^0*[1-9][0-9]{0,9}$"
    return {"anyOf": [{"type": "integer", "minimum": minimum, "maximum": maximum}, {"type": "string", "pattern": digits, "format": "digits"}]}


def closed(properties: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> Schema:
    """An object of these properties and no others."""
    return {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}


def keyed(name: str, inner: Mapping[str, Any], **others: Any) -> Schema:
    """A body `{name: inner}`, with further optional properties."""
    return closed({name: inner, **others}, required=(name,))


def empty_action(name: str) -> Schema:
    """A body `{name: null}`; Nova accepts any value."""
    return closed({name: {}}, required=(name,))


def query(names: tuple[str, ...], *, pattern: str | None = None) -> Schema:
    """A query of these parameters only; each comes as the list of its values."""
    schema: Schema = {"type": "object", "properties": {name: {"type": "array"} for name in names},
                      "additionalProperties": False}
    return schema | ({"patternProperties": {pattern: {"type": "array"}}} if pattern else {})


def queries(added: Mapping[str, tuple[str, ...]], *, closed: str = "2.75", pattern: str | None = None) -> dict[str, Schema]:
    """A route's query schemas by microversion, from the parameters that each version added.

    Before the version `closed` other parameters are accepted and ignored; from it on only those that match `pattern`.
    """
    names: list[str] = []
    schemas = {}
    for version in sorted({*added, closed}, key=parse):
        names += added.get(version, ())
        schemas[version] = query(tuple(names), pattern=pattern if parse(version) >= parse(closed) else ".*")
    return schemas


def is_true(value: object) -> bool:
    """Whether a BOOLEAN is true; None is false."""
    return value is True or str(value).lower() in TRUE_STRINGS
