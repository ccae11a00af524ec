# SPDX-License-Identifier: Apache-2.0
"""Pieces of JSON schema that several block storage resources share; their bounds are Cinder's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.api.wsgi.validation import MAX_INTEGER

Schema = dict[str, Any]

END = r"$(?!\n)"  # of a pattern: `$` alone also matches before a newline at the end
SPEC_KEY = rf"^[a-zA-Z0-9-_:. ]{{1,255}}{END}"
UUID: Schema = {"type": "string", "format": "uuid"}
UUID_OR_NULL: Schema = {"anyOf": [UUID, {"type": "null"}]}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}  # not only of spaces
NAME_OR_NULL: Schema = {"type": ["string", "null"], "maxLength": 255}
DESCRIPTION: Schema = {"type": ["string", "null"], "maxLength": 255}
MAX_METADATA = 128  # items of one resource: Cinder sets no end of its own; Nova's default for servers
METADATA: Schema = {
    "type": "object", "additionalProperties": False, "maxProperties": MAX_METADATA,
    "patternProperties": {r"^[\s\S]{1,255}$": {"type": "string", "maxLength": 255}},
}
METADATA_OR_NULL: Schema = {**METADATA, "type": ["object", "null"]}
EXTRA_SPECS: Schema = {
    "type": "object", "additionalProperties": False, "maxProperties": MAX_METADATA,
    "patternProperties": {SPEC_KEY: {"type": ["string", "null"], "maxLength": 255}},
}
HOST: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": rf"^[a-zA-Z0-9-._#@:/+]*{END}"}
# Clients also send booleans as strings; these are the spellings that Cinder accepts.
TRUE_STRINGS = ("true", "1", "on", "yes", "t", "y")
FALSE_STRINGS = ("false", "0", "off", "no", "f", "n")
BOOLEAN: Schema = {"anyOf": [{"type": "boolean"}, {
    "type": "string", "pattern": r"^(?i:true|1|on|yes|t|y|false|0|off|no|f|n)$"}]}


def integer(minimum: int, maximum: int = MAX_INTEGER) -> Schema:
    """An integer from `minimum`, which is 0 or 1, to `maximum`, or its digits as a string; `int` reads either."""
    digits = r"^[0-9]{1,10}$" if minimum == 0 else r"^0*[1-9][0-9]{0,9}$"
    return {"anyOf": [{"type": "integer", "minimum": minimum, "maximum": maximum}, {"type": "string", "pattern": digits, "format": "digits"}]}


def closed(properties: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> Schema:
    """An object of these properties and no others."""
    return {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}


def opened(properties: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> Schema:
    """An object of these properties and any others, which are ignored, as Cinder did before 3.53."""
    return {**closed(properties, required=required), "additionalProperties": True}


def keyed(name: str, inner: Mapping[str, Any], **others: Any) -> Schema:
    """A body `{name: inner}`, with further optional properties."""
    return closed({name: inner, **others}, required=(name,))


def is_true(value: object) -> bool:
    """Whether a BOOLEAN is true; None is false."""
    return value is True or str(value).lower() in TRUE_STRINGS
