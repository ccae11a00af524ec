# SPDX-License-Identifier: Apache-2.0
"""Versions and validation: what clients send wrong is refused with a sentence that names it."""

from __future__ import annotations

from typing import Any

import pytest
import webob

from nova_lite import errors
from nova_lite.api.wsgi.validation import Validator, drop_unknown, read_json
from nova_lite.api.wsgi.versions import Negotiation, Version, parse

NOVA = Negotiation("compute", minimum="2.1", maximum="2.96", legacy_header="X-OpenStack-Nova-API-Version")
SCHEMA = {"type": "object", "required": ["server"], "additionalProperties": False, "properties": {"server": {
    "type": "object", "additionalProperties": False, "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 1}, "count": {"type": "integer", "minimum": 1}}}}}


@pytest.mark.parametrize(("headers", "version"), [
    ({}, (2, 1)), ({"OpenStack-API-Version": "compute 2.53"}, (2, 53)), ({"OpenStack-API-Version": "compute latest"}, (2, 96)),
    ({"X-OpenStack-Nova-API-Version": "2.7"}, (2, 7)), ({"OpenStack-API-Version": "volume 3.1, compute 2.3"}, (2, 3)),
    ({"OpenStack-API-Version": "compute 2.9", "X-OpenStack-Nova-API-Version": "2.7"}, (2, 9)),
    ({"OpenStack-API-Version": "volume 3.1"}, (2, 1)),
])
def test_the_requested_version_is_used(headers: dict[str, str], version: tuple[int, int]) -> None:
    assert NOVA.choose(headers) == Version(*version)


@pytest.mark.parametrize("requested", ["2.97", "3.1", "1.9"])
def test_a_version_outside_of_the_range_is_not_acceptable(requested: str) -> None:
    with pytest.raises(errors.BadVersion, match=r"Minimum is 2\.1 and maximum is 2\.96"):
        NOVA.choose({"OpenStack-API-Version": f"compute {requested}"})


@pytest.mark.parametrize("text", ["2", "2.x", "2.01", "two", "2.1.1", " 2.1"])
def test_a_malformed_version_is_a_bad_request(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        parse(text)


_AT = "Invalid input for field/attribute"


@pytest.mark.parametrize(("body", "text"), [
    ({}, "'server' is a required property"),
    ({"server": {"count": 1}}, f"{_AT} server. Value: {{'count': ...}}. 'name' is a required property (at server)"),
    ({"server": {"name": 5}}, f"{_AT} name. Value: 5. 5 is not of type 'string' (at server/name)"),
    ({"server": {"name": ""}}, f"{_AT} name. Value: ''. '' is too short (at server/name)"),
    ({"server": {"name": "n", "size": 1}}, f"{_AT} server. Value: {{'name': ..., 'size': ...}}. Additional properties are not allowed ('size' was unexpected) (at server)"),
    ({"server": {"name": "n", "count": 0}}, f"{_AT} count. Value: 0. 0 is less than the minimum of 1 (at server/count)"),
    ({"server": []}, f"{_AT} server. Value: []. [] is not of type 'object' (at server)"),
])
def test_a_refusal_has_novas_words(body: dict[str, object], text: str) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        Validator().body(SCHEMA, body)
    assert refused.value.text == text


_PLACES: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "properties": {
        "sized": {"type": "object", "minProperties": 1, "maxProperties": 2},
        "tags": {"type": "array", "items": {"type": ["string", "null"], "maxLength": 3, "pattern": "^[a-z]*$"}, "minItems": 1, "maxItems": 3, "uniqueItems": True},
        "one": {"enum": ["a", "b"]}, "either": {"oneOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]},
        "id": {"type": "string", "format": "uuid"}, "adminPass": {"type": "string", "maxLength": 3},
        "nested": {"type": "object", "properties": {"password": {"type": "object", "properties": {"value": {"type": "string"}}}}}}}


@pytest.mark.parametrize(("body", "words"), [
    ({"tags": ["toolong"]}, "'toolong' is too long"), ({"tags": ["A"]}, "'A' does not match '^[a-z]*$'"), ({"tags": [7]}, "7 is not of type 'string', 'null'"),
    ({"tags": []}, "[] is too short"), ({"tags": ["a", "b", "c", "d"]}, "['a', 'b', 'c', 'd'] is too long"), ({"tags": ["a", "a"]}, "['a', 'a'] has non-unique elements"),
    ({"one": "c"}, "'c' is not one of ['a', 'b']"), ({"either": 5}, "5 is not valid under any of the given schemas"), ({"id": "no"}, "'no' is not a 'uuid'"),
    ({"sized": {}}, "{} does not have enough properties"), ({"sized": dict.fromkeys("abc", 1)}, "has too many properties"),
])
def test_each_rule_of_a_schema_has_its_words(body: dict[str, object], words: str) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        Validator().body(_PLACES, body)
    assert f"{words} (at " in refused.value.text


@pytest.mark.parametrize("body", [
    {"adminPass": "hunter2"}, {"nested": {"password": {"value": 77227722}}}, {"adminPas": "hunter2"}, {"nested": {"password": "hunter2"}},
    {"tags": [{"password": "hunter2"}]}, {"either": {"adminPass": "hunter2"}},
])
def test_a_refusal_repeats_no_secret(body: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        Validator().body(_PLACES, body)
    assert not any(secret in refused.value.text for secret in ("hunter2", "77227722"))


@pytest.mark.parametrize("value", ["x" * 99_999, ["y" * 999] * 999, [["z"] * 99] * 99])
def test_a_refusal_repeats_little_of_what_is_long(value: object) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        Validator().body(_PLACES, {"one": value})
    assert len(refused.value.text) < 5000


def test_a_query_is_refused_by_its_parameter() -> None:
    schema = {"type": "object", "properties": {"limit": {"type": "array", "items": {"type": "string", "format": "digits"}}}}
    with pytest.raises(errors.InvalidField, match="^Invalid input for query parameters limit. Value: 'many'. 'many' is not a 'digits'$"):
        Validator().query(schema, webob.Request.blank("/?limit=many").GET)


@pytest.mark.parametrize(("raw", "kind"), [
    (b"{", "application/json"), (b"[1]", "application/json"), (b'{"a": NaN}', "application/json"), (b"", "application/json"),
    (b"[" * 100_000, "application/json"), (b'"\xff"', "application/json"),
])
def test_a_body_that_is_no_json_object_is_a_bad_request(raw: bytes, kind: str) -> None:
    with pytest.raises(errors.BadRequest):
        read_json(webob.Request.blank("/", method="POST", body=raw, content_type=kind))


def test_another_content_type_is_refused() -> None:
    with pytest.raises(errors.UnsupportedMedia):
        read_json(webob.Request.blank("/", method="POST", body=b"<a/>", content_type="application/xml"))


def test_the_oldest_api_tolerates_unknown_properties() -> None:
    body = {"server": {"name": "n", "colour": "blue"}, "beside": 1}
    drop_unknown(SCHEMA, body)
    assert body == {"server": {"name": "n"}}
