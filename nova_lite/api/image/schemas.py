# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of images: for validation of requests, and as `GET /schemas/…` answers them."""

from __future__ import annotations

from typing import Any

from nova_lite.api.image.formats import CONTAINER_FORMATS, DISK_FORMATS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import OBJECT, STRING, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule

Schema = dict[str, Any]
TAG_LENGTH = 255
_UUID = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_TEXT: Schema = {"type": "string", "maxLength": 65535}
_WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_WRITABLE: Schema = {
    "name": {"type": ["string", "null"], "maxLength": 255},
    "visibility": {"type": "string", "enum": ["community", "public", "private", "shared"]},
    "owner": {"type": "string", "minLength": 1, "maxLength": 64},
    # Any text here: formats.check_supported names the supported ones in its error.
    "disk_format": {"type": ["string", "null"], "maxLength": 16},
    "container_format": {"type": ["string", "null"], "maxLength": 16},
    "min_disk": _WHOLE,
    "min_ram": _WHOLE,
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": TAG_LENGTH}},
}
# Attributes that only the service sets, of any value here: patch.refuse_read_only answers them with 403.
_READ_ONLY: Schema = {
    name: {} for name in ("status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at",
                          "updated_at", "deleted_at", "deleted", "self", "file", "schema", "direct_url", "locations",
                          "stores", "first", "next")
}
CREATE: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string", "pattern": _UUID}, **_WRITABLE, **_READ_ONLY},
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
# Responses: an image has all of its attributes, and custom properties of any name beside them.
_SHOWN: Schema = {
    "type": "object", "properties": IMAGE["properties"], "required": sorted(IMAGE["properties"]), "additionalProperties": STRING,
}
SHOW, LIST = _SHOWN, closed({"next": STRING}, images=many(_SHOWN), first=STRING, schema=STRING)
MEMBER: Schema = {
    "name": "member",
    "properties": {name: {"type": "string"} for name in (
        "image_id", "member_id", "status", "created_at", "updated_at", "schema")},
}
_PLURALS = {"images": ("image", IMAGE), "members": ("member", MEMBER)}


@route("GET", "/schemas/image", policy=Rule("get_schemas", READER), response=OBJECT)
def image(_req: Request) -> Body:
    """Show the JSON schema of an image. 200."""
    return IMAGE


@route("GET", "/schemas/images", policy=Rule("get_schemas", READER), response=OBJECT)
def images(_req: Request) -> Body:
    """Show the JSON schema of a list of images. 200."""
    return _plural("images")


@route("GET", "/schemas/member", policy=Rule("get_schemas", READER), response=OBJECT)
def member(_req: Request) -> Body:
    """Show the JSON schema of a member. 200."""
    return MEMBER


@route("GET", "/schemas/members", policy=Rule("get_schemas", READER), response=OBJECT)
def members(_req: Request) -> Body:
    """Show the JSON schema of a list of members. 200."""
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
