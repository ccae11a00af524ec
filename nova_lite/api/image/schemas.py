# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of images: what requests are checked against, and what `GET /schemas/…` tells clients."""

from __future__ import annotations

from typing import Any

from nova_lite.api.image.formats import CONTAINER_FORMATS, DISK_FORMATS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import READER, Rule, route

Schema = dict[str, Any]
TAG_LENGTH = 255
_UUID = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_TEXT: Schema = {"type": "string", "maxLength": 65535}
_WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_WRITABLE: Schema = {
    "name": {"type": ["string", "null"], "maxLength": 255},
    "visibility": {"type": "string", "enum": ["community", "public", "private", "shared"]},
    "owner": {"type": "string", "minLength": 1, "maxLength": 64},
    # Any text, so that the refusal can name what is supported.
    "disk_format": {"type": ["string", "null"], "maxLength": 16},
    "container_format": {"type": ["string", "null"], "maxLength": 16},
    "min_disk": _WHOLE,
    "min_ram": _WHOLE,
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": TAG_LENGTH}},
}
# Attributes that only the service sets pass the schema whatever they hold; patch.refuse_read_only refuses them.
_REFUSED_LATER: Schema = {
    name: {} for name in ("status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at",
                          "updated_at", "deleted_at", "deleted", "self", "file", "schema", "direct_url", "locations",
                          "stores", "first", "next")
}
CREATE: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string", "pattern": _UUID}, **_WRITABLE, **_REFUSED_LATER},
    "propertyNames": {"minLength": 1, "maxLength": 255},
    "additionalProperties": _TEXT,
}
PATCH: Schema = {
    "type": "array",
    "maxItems": 1000,
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "replace", "remove"]},
            "path": {"type": "string", "pattern": "^/", "maxLength": 512},
        },
    },
}


def _own(kind: str | list[str], **more: object) -> Schema:
    return {"type": kind, "readOnly": True, **more}


IMAGE: Schema = {
    "name": "image",
    "properties": {
        **_WRITABLE,
        "id": {"type": "string", "pattern": _UUID},
        "disk_format": {"type": ["string", "null"], "enum": [None, *DISK_FORMATS]},
        "container_format": {"type": ["string", "null"], "enum": [None, *CONTAINER_FORMATS]},
        "status": _own("string", enum=["queued", "saving", "active"]),
        "size": _own(["integer", "null"]), "virtual_size": _own(["integer", "null"]),
        "checksum": _own(["string", "null"]), "os_hash_algo": _own(["string", "null"]),
        "os_hash_value": _own(["string", "null"]), "created_at": _own("string"), "updated_at": _own("string"),
        "self": _own("string"), "file": _own("string"), "schema": _own("string"),
    },
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
MEMBER: Schema = {
    "name": "member",
    "properties": {name: {"type": "string"} for name in (
        "image_id", "member_id", "status", "created_at", "updated_at", "schema")},
}
_PLURALS = {"images": ("image", IMAGE), "members": ("member", MEMBER)}


@route("GET", "/schemas/image", policy=Rule("get_schemas", READER))
def image(req: Request) -> Body:
    return IMAGE


@route("GET", "/schemas/images", policy=Rule("get_schemas", READER))
def images(req: Request) -> Body:
    return _plural("images")


@route("GET", "/schemas/member", policy=Rule("get_schemas", READER))
def member(req: Request) -> Body:
    return MEMBER


@route("GET", "/schemas/members", policy=Rule("get_schemas", READER))
def members(req: Request) -> Body:
    return _plural("members")


def _plural(name: str) -> Body:
    _, item = _PLURALS[name]
    return {
        "name": name,
        "properties": {
            name: {"type": "array", "items": item}, "first": {"type": "string"}, "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
