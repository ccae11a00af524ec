# SPDX-License-Identifier: Apache-2.0
"""Extra specs: a volume type's requirements of pools, and what its volumes may do."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.types.types import specs_for
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRINGS, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.volume import volume_types
from nova_lite.db.volume.volume_types import VolumeType

_PATH = "/types/{type_id}/extra_specs"
_SPECS = {**schemas.EXTRA_SPECS, "minProperties": 1}
CREATE = schemas.keyed("extra_specs", _SPECS)
UPDATE = {**_SPECS, "maxProperties": 1}
_ALL = closed(extra_specs=STRINGS)
_ONE = {"type": "object", "additionalProperties": STRING, "minProperties": 1, "maxProperties": 1}


@route("GET", _PATH, policy=Rule("volume_extension:types_extra_specs:index", READER), response=_ALL)
def index(req: Request, type_id: str) -> Body:
    """Show a type's extra specs, to users those that concern them. 200. 404: no type that the project may use."""
    return {"extra_specs": specs_for(req, volume_types.get_by_id(req.db, type_id, project_id=req.ctxt.visible_project))}


@route("POST", _PATH, policy=Rule("volume_extension:types_extra_specs:create", ADMIN), body={"3.0": CREATE}, response=_ALL)
def create(req: Request, body: Body, type_id: str) -> Body:
    """Add extra specs, or change their values.

    200 with these specs. 400: a wrong key, or volumes of the type exist. 404: no such type.
    """
    _set(req, _changeable(req, type_id), body["extra_specs"])
    return {"extra_specs": _texts(body["extra_specs"])}


@route("GET", _PATH + "/{key}", policy=Rule("volume_extension:types_extra_specs:show", READER), response=_ONE)
def show(req: Request, type_id: str, key: str) -> Body:
    """Show one extra spec. 200. 404: no such type, or it has none of this key."""
    specs = specs_for(req, volume_types.get_by_id(req.db, type_id, project_id=req.ctxt.visible_project))
    if key not in specs:
        raise _missing(type_id, key)
    return {key: specs[key]}


@route("PUT", _PATH + "/{key}", policy=Rule("volume_extension:types_extra_specs:update", ADMIN), body={"3.0": UPDATE}, response=_ONE)
def update(req: Request, body: Body, type_id: str, key: str) -> Body:
    """Set one extra spec.

    200 with the spec. 400: the body has another key than the path, or volumes of the type exist. 404: no such type.
    """
    if key not in body:
        raise errors.BadRequest(reason=f"Request body and URI mismatch: the body has no {key!r}")
    _set(req, _changeable(req, type_id), body)
    return _texts(body)


@route("DELETE", _PATH + "/{key}", policy=Rule("volume_extension:types_extra_specs:delete", ADMIN), status=202)
def delete(req: Request, type_id: str, key: str) -> None:
    """Remove one extra spec. 202 with no body. 400: volumes of the type exist. 404: no such type, or it has none of this key."""
    changed = _changeable(req, type_id)
    if key not in changed.extra_specs:
        raise _missing(type_id, key)
    changed.extra_specs = {other: value for other, value in changed.extra_specs.items() if other != key}


def _changeable(req: Request, type_id: str) -> VolumeType:
    """The type, locked. :raises errors.BadRequest: volumes were made by its specs."""
    found = volume_types.get_by_id(req.db, type_id, is_locked=True)
    if volume_types.has_volumes(req.db, type_id):
        raise errors.BadRequest(reason=f"Volume type {found.name} is currently in use: its extra specs cannot be changed")
    return found


def _set(req: Request, changed: VolumeType, added: Mapping[str, str | None]) -> None:
    specs = {**changed.extra_specs, **_texts(added)}
    if len(specs) > schemas.MAX_METADATA:
        raise errors.BadRequest(reason=f"Volume type {changed.name} may have {schemas.MAX_METADATA} extra specs at most")
    changed.extra_specs = specs
    if changed.is_multiattach and volume_types.encryption_of(req.db, changed.id) is not None:
        raise errors.BadRequest(reason="Multiattach cannot be used with encrypted volume types")


def _texts(specs: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value or "" for key, value in specs.items()}


def _missing(type_id: str, key: str) -> errors.NotFound:
    return errors.NotFound(f"Volume Type {type_id} has no extra specs with key {key}.")
