# SPDX-License-Identifier: Apache-2.0
"""Changes of images: the attributes that may be set, by which callers, and JSON patches (RFC 6902) of such changes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import webob

from nova_lite import errors
from nova_lite.api.image import schemas
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.validation import Validator
from nova_lite.db.image import images
from nova_lite.db.image.images import Image
from nova_lite.hardware import extra_specs

MEDIA_TYPE = "application/openstack-images-v2.1-json-patch"
# Glance's older form: `{"replace": "/name", "value": …}` instead of `{"op": "replace", "path": "/name", "value": …}`.
OLD_MEDIA_TYPE = "application/openstack-images-v2.0-json-patch"
_MAX_BYTES = 1024**2
READ_ONLY = frozenset({
    "id", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
    "deleted_at", "deleted", "self", "file", "schema", "first", "next", "direct_url", "locations", "stores",
})
_COLUMNS = {
    "name": "name", "visibility": "visibility", "owner": "owner", "disk_format": "disk_format",
    "container_format": "container_format", "min_disk": "min_disk_gb", "min_ram": "min_ram_mb",
    "protected": "protected", "os_hidden": "os_hidden", "tags": "tags",
}
_ONLY_QUEUED = ("disk_format", "container_format")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a patch: `op` is add, replace or remove; `name` an attribute or a custom property."""

    op: str
    name: str
    value: Any = None


def read(http: webob.Request, validator: Validator) -> list[Operation]:
    """The request's patch.

    :raises errors.UnsupportedMedia: another media type. :raises errors.TooLarge: over 1 MiB.
    :raises errors.BadRequest: not a patch.
    """
    if http.content_type not in (MEDIA_TYPE, OLD_MEDIA_TYPE):
        raise errors.UnsupportedMedia(f"Unsupported Content-Type {http.content_type or 'none'}: send {MEDIA_TYPE}")
    if (http.content_length or 0) > _MAX_BYTES:
        raise errors.TooLarge(limit=_MAX_BYTES)
    try:
        steps = json.loads(http.body_file.read(_MAX_BYTES + 1))
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest(reason=f"The body is not valid JSON: {error}") from None
    if http.content_type == OLD_MEDIA_TYPE and isinstance(steps, list):
        steps = [_converted(step) for step in steps]
    validator.body(schemas.PATCH, steps)
    return [_operation(step, validator) for step in steps]


def apply(req: Request, image: Image, operations: Sequence[Operation]) -> None:
    """Apply all operations to the image, in their order.

    :raises errors.Forbidden: an attribute is read-only, needs another role, or cannot be removed.
    :raises errors.Conflict: a property to replace or remove does not exist.
    """
    for operation in operations:
        refuse_read_only([operation.name])
        if operation.name in _COLUMNS:
            if operation.op == "remove":
                raise errors.Forbidden(reason=f"Property '{operation.name}' may not be removed.")
        elif operation.op != "add" and operation.name not in image.properties:
            raise errors.Conflict(reason=f"Property {operation.name} does not exist.")
        if operation.op == "remove":
            image.properties = {name: text for name, text in image.properties.items() if name != operation.name}
        else:
            assign(req, image, operation.name, operation.value)


def assign(req: Request, image: Image, name: str, value: Any) -> None:
    """Set one attribute or custom property.

    :raises errors.PolicyForbids: only an admin makes an image public or changes its owner.
    :raises errors.Forbidden: the image has data, so its formats cannot change.
    """
    if name not in _COLUMNS:
        image.properties = {**image.properties, name: value}
        return
    if name == "visibility" and value == images.PUBLIC and image.visibility != images.PUBLIC and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule="publicize_image")
    if name == "owner" and value != image.owner and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule="modify_image:owner")
    if name in _ONLY_QUEUED and image.status != images.QUEUED and value != getattr(image, name):
        raise errors.Forbidden(reason=f"Attribute {name} can be only replaced for a queued image.")
    setattr(image, _COLUMNS[name], list(dict.fromkeys(value)) if name == "tags" else value)


def refuse_read_only(names: Iterable[str]) -> None:
    """:raises errors.Forbidden: only the service sets one of them."""
    for name in names:
        if name in READ_ONLY:
            raise errors.Forbidden(reason=f"Attribute '{name}' is read-only.")
        if name.startswith("os_glance_"):
            raise errors.Forbidden(reason=f"Attribute '{name}' is reserved.")


def _converted(step: Any) -> Any:  # not validated yet
    """An operation of the older media type in the form of the newer; anything else is left to validation."""
    if not isinstance(step, dict):
        return step
    ops = [op for op in ("add", "replace", "remove") if op in step]
    if len(ops) != 1:
        return step
    return {**{key: value for key, value in step.items() if key != ops[0]}, "op": ops[0], "path": step[ops[0]]}


def _operation(step: dict[str, Any], validator: Validator) -> Operation:
    op, path = step["op"], step["path"]
    name = path.removeprefix("/").replace("~1", "/").replace("~0", "~")
    if "/" in path.removeprefix("/") or not name:
        raise errors.BadRequest(reason=f"Invalid JSON pointer for this resource: '{path}'; it names one attribute")
    if op == "remove":
        return Operation(op, name)
    if "value" not in step:
        raise errors.BadRequest(reason=f"Operation {op} of {path} needs a value")
    if name not in READ_ONLY:
        validator.body(schemas.CREATE, {name: step["value"]})
        if name not in _COLUMNS:
            extra_specs.check_bounds(name, step["value"])
    return Operation(op, name, step["value"])
