# SPDX-License-Identifier: Apache-2.0
"""Parts of JSON schemas and values that all resources of the network service share."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi import responses
from nova_lite.api.wsgi.request import Body
from nova_lite.api.wsgi.responses import STRING, closed, many
from nova_lite.api.wsgi.validation import integer

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string", "maxLength": 255}
BOOL: Schema = {"type": "boolean"}
UUID: Schema = {"type": "string", "format": "uuid"}
UUIDS: Schema = {"type": "array", "items": UUID, "maxItems": 100}
NULL: Schema = {"type": "null"}
NUMBER: Schema = {"type": ["integer", "string"]}  # stock clients send what was typed, and Neutron converts it: see `number`
MAX_BULK = 100  # resources of one request; Neutron has no bound
ADDRESS: Schema = {"type": "string", "maxLength": 64}
# In responses.
FIXED_IPS: responses.Schema = many(closed(subnet_id=STRING, ip_address=STRING))
OWNER: Schema = {
    "tenant_id": {"type": "string", "maxLength": 64},
    "project_id": {"type": "string", "maxLength": 64},
}


def number(params: Body, name: str, *, minimum: int, maximum: int) -> int | None:
    """The whole number that the body has there, or that its digits write; None: there is none.

    :raises errors.BadRequest: it is no number, or not within the bounds.
    """
    value = params.get(name)
    if value is None:
        return None
    found = integer(value) if isinstance(value, str) else int(value)  # 4.0 is an integer to a schema
    if found is None or not minimum <= found <= maximum:
        raise errors.BadRequest(reason=f"Invalid input for {name}. Reason: '{value}' is not an integer from {minimum} to {maximum}.")
    return found


def maybe(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [NULL, schema]}


def body(key: str, properties: Schema, *, required: Sequence[str] = ()) -> Schema:
    """The schema of a body `{key: {…}}`; unknown properties are refused."""
    return {
        "type": "object", "required": [key], "additionalProperties": False,
        "properties": {key: _resource(properties, required)}}


def new_body(key: str, properties: Schema, *, required: Sequence[str] = ()) -> Schema:
    """The schema of the body of a create: `{key: {…}}`, or `{keys: [{…}, …]}` for several at once."""
    resource = _resource(properties, required)
    many_of_it = {"type": "array", "items": resource, "minItems": 1, "maxItems": MAX_BULK}
    return {
        "type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
        "properties": {key: resource, f"{key}s": many_of_it}}


def _resource(properties: Schema, required: Sequence[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": dict(properties)}


def made(key: str, fields: responses.Fields) -> responses.Schema:
    """The response of a create: the one, or all that were made at once."""
    return {"anyOf": [closed(**{key: fields}), closed(**{f"{key}s": many(fields)})]}


def create(
    body: Body, key: str, one: Callable[[Body], Body], *, lock: Callable[[Sequence[Body]], None],
    order: Callable[[Body], Any] = lambda _: 0,
) -> Body:
    """What a create answers: `one` makes each resource of the body; all or none are kept, and they are answered in the body's order.

    Two requests that name the same in opposite orders would wait for each other: `lock` first takes what several resources
    lock, in one order, and they are made by `order`, a key of what else they take.
    """
    if key in body:
        return {key: one(body[key])}
    items = body[f"{key}s"]
    lock(items)
    made = {number: one(items[number]) for number in sorted(range(len(items)), key=lambda number: order(items[number]))}
    return {f"{key}s": [made[number] for number in range(len(items))]}


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
