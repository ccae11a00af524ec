# SPDX-License-Identifier: Apache-2.0
"""Validation of bodies and queries against JSON schemas: compiled once, refused with a sentence that names the field."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
import webob

from nova_lite import errors
from nova_lite.api.wsgi.request import Body

Check = Callable[[Any], Any]
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
MAX_INTEGER = 0x7FFFFFFF  # the maximum of an integer column


def integer(text: str) -> int | None:
    """The number that these decimal digits write; None: they are not digits, or it is above MAX_INTEGER."""
    return int(text) if text.isdecimal() and len(text) <= len(str(MAX_INTEGER)) and int(text) <= MAX_INTEGER else None


# Formats beyond fastjsonschema's own: JSON Schema draft 7's, and of a number in digits.
FORMATS: dict[str, str | Callable[[str], bool]] = {
    "uuid": r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$",
    "digits": lambda text: integer(text.removeprefix("-")) is not None,
}


class Validator:
    """Compiles each schema on its first use and caches it."""

    def __init__(self) -> None:
        self._checks: dict[int, Check] = {}

    def body(self, schema: Mapping[str, Any], body: Any) -> None:
        """:raises errors.InvalidField: the body does not match the schema."""
        self._run(schema, body)

    def query(self, schema: Mapping[str, Any], query: Any) -> None:
        """Check query parameters: each as a list of its values, strings.

        :raises errors.InvalidField: a parameter is unknown or wrong.
        """
        self._run(schema, {name: query.getall(name) for name in query})

    def _run(self, schema: Mapping[str, Any], value: Any) -> None:
        check = self._checks.get(id(schema))
        if check is None:
            check = fastjsonschema.compile(dict(schema), formats=FORMATS, use_default=False)
            self._checks[id(schema)] = check
        try:
            check(value)
        except fastjsonschema.JsonSchemaValueException as error:
            raise _refusal(error) from None


def _refusal(error: fastjsonschema.JsonSchemaValueException) -> errors.InvalidField:
    path = [str(part) for part in error.path[1:]]
    reason = error.message.removeprefix(error.name or "").strip()
    if error.rule in ("oneOf", "anyOf"):
        reason = "is not of any of the allowed forms"
    elif error.rule == "additionalProperties":
        extra = reason.split("{", 1)[-1].split("}", 1)[0]
        reason = f"Additional properties are not allowed ({extra} was unexpected)"
    return errors.InvalidField(field="/".join(path) or "body", reason=reason)


def drop_unknown(schema: Mapping[str, Any], value: Any) -> None:
    """Remove from the body, in place, the properties that the schema would refuse as unknown: /v2 always tolerated them."""
    if isinstance(value, dict):
        properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        if schema.get("additionalProperties") is False:
            for name in [name for name in value if name not in properties and not any(re.search(p, name) for p in patterns)]:
                del value[name]
        for name, inner in properties.items():
            if name in value:
                drop_unknown(inner, value[name])
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            drop_unknown(schema["items"], item)


def read_json(http: webob.Request) -> Body:
    """The request's JSON object; NaN is refused, depth is bounded by the parser.

    :raises errors.UnsupportedMedia: not sent as JSON. :raises errors.BadRequest: not a JSON object.
    :raises errors.InvalidField: it has a string that no database can store.
    """
    if http.content_type and http.content_type != "application/json" and not http.content_type.endswith("+json"):
        raise errors.UnsupportedMedia(type=http.content_type)
    raw = http.body_file.read()
    if not raw:
        raise errors.BadRequest(reason="The request has no body; a JSON object is expected")
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest(reason=f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise errors.BadRequest(reason="The body must be a JSON object")
    if b"\\u" in raw or b"\xed" in raw:  # else there can be none
        _check_text(body, ())
    return body


def _check_text(value: Any, path: tuple[str, ...]) -> None:
    """:raises errors.InvalidField: a string, or a name, has a NUL or an unpaired surrogate."""
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise errors.InvalidField(field="/".join(path), reason="a string may not have NUL characters or unpaired surrogates")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name, path)
            _check_text(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_text(inner, (*path, str(number)))


def check_address(http: webob.Request) -> None:
    """:raises errors.BadRequest: path or query are not UTF-8, or have a NUL."""
    for what, raw in (("path", http.environ["PATH_INFO"].encode("latin-1")),
                      ("query", urllib.parse.unquote_to_bytes(http.environ.get("QUERY_STRING", "")))):
        if raw.isascii() and b"\0" not in raw:
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise errors.BadRequest(reason=f"The {what} is not UTF-8: {error}") from None
        if "\0" in text:
            raise errors.BadRequest(reason=f"The {what} has a NUL character")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not allowed")
