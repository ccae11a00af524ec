# SPDX-License-Identifier: Apache-2.0
"""Responses that routes declare: JSON schemas of a microversion, made of tables of fields."""

from __future__ import annotations

from typing import Any

import pytest

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    INTEGER,
    LINKS,
    STRING,
    STRING_OR_NULL,
    Field,
    Property,
    closed,
    many,
    page,
    schema_at,
)
from nova_lite.api.wsgi.routing import Route, Schemas, route
from nova_lite.api.wsgi.rules import ADMIN, PUBLIC
from nova_lite.api.wsgi.versions import parse

FIELDS = (
    Field("id", id, STRING), Field("size", id, STRING, until="2.4"), Field("size", id, INTEGER, since="2.5"),
    Field("host", id, STRING, role=ADMIN), Property("links", LINKS, since="2.7"),
    Property("fault", STRING, is_optional=True),
)


def declared(response: Any) -> Route:
    @route("GET", "/things", policy=PUBLIC, response=response)
    def index(req: Request) -> Body:
        return {}

    return index.__dict__["routes"][0]  # type: ignore[no-any-return]


def at(schema: Any, version: str) -> Any:
    return schema_at(schema, parse(version))


def test_a_table_of_fields_is_an_object_of_those_of_the_version() -> None:
    old, new = at(FIELDS, "2.4"), at(FIELDS, "2.7")
    assert set(old["properties"]) == {"id", "size", "host", "fault"}
    assert old["properties"]["size"] == STRING
    assert new["properties"]["size"] == INTEGER
    assert new["properties"]["links"] == LINKS
    assert not new["additionalProperties"]


def test_a_field_may_be_missing_if_only_a_role_sees_it_or_if_it_is_optional() -> None:
    assert at(FIELDS, "2.7")["required"] == ["id", "links", "size"]


def test_tables_of_fields_stand_anywhere_in_a_schema() -> None:
    schema = at(page("things", FIELDS), "2.1")
    assert schema["properties"]["things"] == {"type": "array", "items": at(FIELDS, "2.1")}
    assert schema["required"] == ["things"]
    assert at(many(closed(thing=FIELDS[:1])), "2.1")["items"]["properties"]["thing"]["required"] == ["id"]


@pytest.mark.parametrize(("docstring", "summary"), [
    ("Freeze the guest.\n\n202 with no body.", "Freeze the guest."), ("Show one. 200. 404: no such server.", "Show one."),
    ("List flavors, at most 1000. 200.", "List flavors, at most 1000."), (None, "index")])
def test_a_routes_summary_is_the_docstring_up_to_the_statuses(docstring: str | None, summary: str) -> None:
    made = declared(None)
    made.handler.__doc__ = docstring
    assert made.summary == summary


@pytest.mark.parametrize(("response", "version", "schema"), [
    (None, "2.1", None), (closed(a=STRING), "2.1", closed(a=STRING)), (FIELDS[:1], "2.1", closed(id=STRING)),
    ({"2.45": closed(a=STRING)}, "2.44", None), ({"2.45": closed(a=STRING)}, "2.45", closed(a=STRING)),
    ({"2.1": closed(a=STRING), "2.9": None}, "2.8", closed(a=STRING)), ({"2.1": closed(a=STRING), "2.9": None}, "2.9", None),
    ({"2.1": STRING, "2.9": STRING_OR_NULL, "2.10": INTEGER}, "2.9", STRING_OR_NULL)])
def test_a_route_declares_its_response_for_all_versions_or_by_version(response: Schemas, version: str, schema: object) -> None:
    assert declared(response).response_for(parse(version)) == schema
