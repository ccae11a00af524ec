# SPDX-License-Identifier: Apache-2.0
"""Encryption of volume types: how their volumes are encrypted, and by whom."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER_OR_NULL,
    NULL,
    STRING,
    STRING_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    closed,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import volume_types
from nova_lite.db.volume.volume_types import VolumeType, VolumeTypeEncryption

_PATH = "/types/{type_id}/encryption"
_SHOW = Rule("volume_extension:volume_type_encryption:get", ADMIN)
_NAMES = ("provider", "control_location", "cipher", "key_size")
_MAX_KEY_SIZE = 1024  # bits; of what LUKS has 512 is the largest

MADE_FIELDS = (
    Field("volume_type_id", lambda found: found.volume_type_id, UUID),
    Field("encryption_id", lambda found: found.encryption_id, UUID),
    Field("provider", lambda found: found.provider, STRING),
    Field("control_location", lambda found: found.control_location, STRING),
    Field("cipher", lambda found: found.cipher, STRING_OR_NULL),
    Field("key_size", lambda found: found.key_size, INTEGER_OR_NULL),
)
FIELDS = (
    *MADE_FIELDS,
    Field("created_at", lambda found: micros(found.created_at), TIME),
    Field("updated_at", lambda found: micros(found.updated_at), TIME_OR_NULL),
    Field("deleted", lambda found: False, BOOLEAN),
    Field("deleted_at", lambda found: None, NULL),
)
_CHANGED = closed({"provider": STRING, "control_location": STRING, "cipher": STRING_OR_NULL, "key_size": INTEGER_OR_NULL})
_VALUE = {"type": ["string", "integer", "boolean", "null"]}
_ENCRYPTION = {
    "provider": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"},
    "control_location": {"enum": ["front-end", "back-end"]},
    "cipher": {"type": ["string", "null"], "maxLength": 255},
    "key_size": {"anyOf": [schemas.integer(0, _MAX_KEY_SIZE), {"type": "null"}]},
}
CREATE = schemas.keyed("encryption", schemas.closed(_ENCRYPTION, required=("provider", "control_location")))
UPDATE = schemas.keyed("encryption", schemas.closed(_ENCRYPTION))


@route("GET", _PATH, policy=_SHOW, response={"anyOf": [FIELDS, closed()]})
def index(req: Request, type_id: str) -> Body:
    """Show how volumes of a type are encrypted; `{}`: they are not. 200. 404: no such type."""
    volume_types.get_by_id(req.db, type_id)
    found = volume_types.encryption_of(req.db, type_id)
    return {} if found is None else view(FIELDS, found, req)


@route("GET", _PATH + "/{encryption_id}", policy=_SHOW, response={"type": "object", "additionalProperties": _VALUE, "maxProperties": 1})
def show(req: Request, type_id: str, encryption_id: str) -> Body:
    """Show one value of a type's encryption, which the path names. 200. 404: no such type, it is not encrypted, or there is no such value."""
    volume_types.get_by_id(req.db, type_id)
    found = volume_types.encryption_of(req.db, type_id)
    values, key = {} if found is None else view(FIELDS, found, req), encryption_id  # the path is that of the changes
    if key not in values:
        raise errors.NotFound(f"Volume type encryption for type {type_id} has no {key}.")
    return {key: values[key]}


@route("POST", _PATH, policy=Rule("volume_extension:volume_type_encryption:create", ADMIN), body={"3.0": CREATE},
       response=closed(encryption=MADE_FIELDS))
def create(req: Request, body: Body, type_id: str) -> Body:
    """Have volumes of a type encrypted.

    200 with the encryption. 400: volumes of the type exist, it is encrypted already, or it is for several servers at once.
    404: no such type.
    """
    found = _changeable(req, type_id)
    if volume_types.encryption_of(req.db, type_id) is not None:
        raise errors.BadRequest(reason=f"Volume type encryption for type {type_id} already exists.")
    if found.is_multiattach:
        raise errors.BadRequest(reason="Multiattach cannot be used with encrypted volume types")
    values = _values(body)
    made = VolumeTypeEncryption(volume_type_id=type_id, provider=values["provider"], control_location=values["control_location"],
                                cipher=values.get("cipher"), key_size=values.get("key_size"))
    req.db.add(made)
    req.db.flush()
    return {"encryption": view(MADE_FIELDS, made, req)}


@route("PUT", _PATH + "/{encryption_id}", policy=Rule("volume_extension:volume_type_encryption:update", ADMIN), body={"3.0": UPDATE},
       response=closed(encryption=_CHANGED))
def update(req: Request, body: Body, type_id: str, encryption_id: str) -> Body:
    """Change a type's encryption. 200 with what has changed. 400: volumes of the type exist. 404: no such type or encryption."""
    _changeable(req, type_id)
    changed, values = _get(req, type_id, encryption_id), _values(body)
    changed.provider = values.get("provider", changed.provider)
    changed.control_location = values.get("control_location", changed.control_location)
    changed.cipher = values.get("cipher", changed.cipher)
    changed.key_size = values.get("key_size", changed.key_size)
    return {"encryption": values}


@route("DELETE", _PATH + "/{encryption_id}", policy=Rule("volume_extension:volume_type_encryption:delete", ADMIN), status=202)
def delete(req: Request, type_id: str, encryption_id: str) -> None:
    """Have volumes of a type not encrypted. 202 with no body. 400: volumes of the type exist. 404: no such type or encryption."""
    _changeable(req, type_id)
    req.db.delete(_get(req, type_id, encryption_id))


def _changeable(req: Request, type_id: str) -> VolumeType:
    """The type, locked. :raises errors.BadRequest: volumes were made by its encryption."""
    found = volume_types.get_by_id(req.db, type_id, is_locked=True)
    if volume_types.has_volumes(req.db, type_id):
        raise errors.BadRequest(reason=f"Volume type {found.name} is currently in use: its encryption cannot be changed")
    return found


def _get(req: Request, type_id: str, encryption_id: str) -> VolumeTypeEncryption:
    found = volume_types.encryption_of(req.db, type_id)
    if found is None or found.encryption_id != encryption_id:
        raise errors.NotFound(f"Volume type encryption {encryption_id} for type {type_id} does not exist.")
    return found


def _values(body: Body) -> Body:
    """The values of the body. :raises errors.InvalidField: key_size is too large."""
    values = {name: value for name, value in body["encryption"].items() if name in _NAMES}
    if values.get("key_size") is not None:
        size = int(values["key_size"])
        if not 0 <= size <= _MAX_KEY_SIZE:
            raise errors.InvalidField(field="key_size", reason=f"{size} is not between 0 and {_MAX_KEY_SIZE}")
        values["key_size"] = size
    return values
