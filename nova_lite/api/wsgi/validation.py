# SPDX-License-Identifier: Apache-2.0
"""Validation of bodies and queries against JSON schemas: compiled once, refused with a sentence that names the field."""

from __future__ import annotations

import datetime
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
_FIELD, _QUERY = "field/attribute", "query parameters"
# Names whose values no message repeats: it goes through logs of clients and proxies.
_SECRET = re.compile("pass|secret|token|credential|private|user_data|contents", re.IGNORECASE)
_MAX_SHOWN, _MAX_ITEMS, _MAX_NAME = 1024, 64, 64
# What jsonschema says of a value that a rule refuses.
_FLAWS = {
    "anyOf": "{value} is not valid under any of the given schemas",
    "oneOf": "{value} is not valid under any of the given schemas",
    "enum": "{value} is not one of {known}",
    "format": "{value} is not a {known}",
    "maxItems": "{value} is too long",
    "maxLength": "{value} is too long",
    "maxProperties": "{value} has too many properties",
    "maximum": "{value} is greater than the maximum of {known}",
    "minItems": "{value} is too short",
    "minLength": "{value} is too short",
    "minProperties": "{value} does not have enough properties",
    "minimum": "{value} is less than the minimum of {known}",
    "pattern": "{value} does not match {known}",
    "uniqueItems": "{value} has non-unique elements",
}
# As many ids as a request line has place for, and some. Each may be a condition of a statement, which takes half a millisecond to build.
MAX_QUERY_VALUES = 300
_CONTROL = re.compile(rb"[\x01-\x1f\x7f]")
MAX_INTEGER = 0x7FFFFFFF  # the maximum of an integer column


def integer(text: str, *, maximum: int = MAX_INTEGER) -> int | None:
    """The number that these digits 0 to 9 write; None: they are not digits, or it is above the maximum."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(maximum))
    return int(text) if is_number and int(text) <= maximum else None


def moment(text: str) -> datetime.datetime | None:
    """The time that this writes in ISO 8601, in UTC and without a zone as rows have it; None: it is none, or in UTC beyond the calendar."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        return None


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
        self._run(schema, body, _FIELD)

    def query(self, schema: Mapping[str, Any], query: Any) -> None:
        """Check query parameters: each as a list of its values, strings.

        :raises errors.InvalidField: a parameter is unknown or wrong.
        """
        self._run(schema, {name: query.getall(name) for name in query}, _QUERY)

    def _run(self, schema: Mapping[str, Any], value: Any, form: str) -> None:
        check = self._checks.get(id(schema))
        if check is None:
            check = fastjsonschema.compile(dict(schema), formats=FORMATS, use_default=False)
            self._checks[id(schema)] = check
        try:
            check(value)
        except fastjsonschema.JsonSchemaValueException as error:
            raise _refusal(error, form) from None


def _refusal(error: fastjsonschema.JsonSchemaValueException, form: str) -> errors.InvalidField:
    """In the words of Nova and of jsonschema, which scripts look for, and where it is; `form`: what kind of thing has the path."""
    path = [str(part) for part in error.path[1:]]
    is_secret = any(_SECRET.search(part) for part in path)
    value = "'***'" if is_secret else _shown(error.value)
    if not path:
        return errors.InvalidField(_flaw(error, value))
    name, place = (path[0], "") if form == _QUERY else (path[-1], f" (at {'/'.join(path)})")
    return errors.InvalidField(f"Invalid input for {form} {name}. Value: {value}. {_flaw(error, value)}{place}")


def _flaw(error: fastjsonschema.JsonSchemaValueException, value: str) -> str:
    known, rule = error.rule_definition, error.rule
    if rule == "type":
        return f"{value} is not of type {', '.join(repr(one) for one in ([known] if isinstance(known, str) else known))}"
    if rule == "required":
        return f"{next(name for name in known if name not in error.value)!r} is a required property"
    if rule == "additionalProperties":
        extra = error.message.split("{", 1)[-1].split("}", 1)[0]
        return f"Additional properties are not allowed ({extra} was unexpected)"
    return _FLAWS[rule].format(value=value, known=repr(known)) if rule in _FLAWS else error.message.removeprefix(error.name or "").strip()


def _shown(value: Any) -> str:
    """A value for a message: objects by their names alone, since what a mistyped name stands for may be a secret."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name[:_MAX_NAME]!r}: ..." for name in list(value)[:_MAX_ITEMS]) + "}"
    text = "[" + ", ".join(_shown(one) for one in value[:_MAX_ITEMS]) + "]" if isinstance(value, list) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


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


def parse_json(text: str, name: str) -> Any:
    """The value that the text, `name` of which a refusal speaks, writes in JSON.

    :raises errors.BadRequest: it is none. :raises errors.InvalidField: it has a string that no database can store.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest(reason=f"{name} is not valid JSON: {str(error)[:_MAX_NAME]}") from None
    _check_text(value, (name,))
    return value


def has_no_text(value: str) -> bool:
    """Whether a string has characters that no database can store."""
    return _NO_TEXT.search(value) is not None


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
    """:raises errors.BadRequest: path or query are not UTF-8, or have a NUL; the path has another control character; or the query has too many values."""
    query = urllib.parse.unquote_to_bytes(http.environ.get("QUERY_STRING", ""))
    if query.count(b"&") + query.count(b",") >= MAX_QUERY_VALUES:
        raise errors.BadRequest(reason=f"The query has too many values: {MAX_QUERY_VALUES} are allowed")
    for what, raw in (("path", http.environ["PATH_INFO"].encode("latin-1")), ("query", query)):
        if what == "path" and _CONTROL.search(raw):  # a pattern's `$` matches before a newline at the end
            raise errors.BadRequest(reason="The path has a control character")
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
