# SPDX-License-Identifier: Apache-2.0
"""Versions and validation: what clients send wrong is refused with a sentence that names it."""

from __future__ import annotations

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


@pytest.mark.parametrize(("body", "names"), [
    ({}, "server"), ({"server": {}}, "name"), ({"server": {"name": 5}}, "server/name"), ({"server": {"name": ""}}, "server/name"),
    ({"server": {"name": "n", "size": 1}}, "size"), ({"server": {"name": "n", "count": 0}}, "server/count"),
    ({"server": []}, "server"),
])
def test_a_refusal_names_the_field(body: dict[str, object], names: str) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        Validator().body(SCHEMA, body)
    assert names in refused.value.text


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
