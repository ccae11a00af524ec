# SPDX-License-Identifier: Apache-2.0
"""Specs of group types."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRINGS, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import group_types
from nova_lite.db.volume.group_types import GroupType

_PATH = "/group_types/{group_type_id}/group_specs"
_SPECS = {**schemas.EXTRA_SPECS, "minProperties": 1}
CREATE = schemas.keyed("group_specs", _SPECS)
UPDATE = {**_SPECS, "maxProperties": 1}
_ALL = closed(group_specs=STRINGS)
_ONE = {"type": "object", "additionalProperties": STRING, "minProperties": 1, "maxProperties": 1}


@route("GET", _PATH, policy=Rule("group:group_types_specs:get_all", ADMIN), since="3.11", response=_ALL)
def index(req: Request, group_type_id: str) -> Body:
    """Show a group type's specs. 200. 404: no such type."""
    return {"group_specs": dict(group_types.get(req.db, group_type_id, is_admin=True).group_specs)}


@route("POST", _PATH, policy=Rule("group:group_types_specs:create", ADMIN), since="3.11", status=202, body={"3.11": CREATE}, response=_ALL)
def create(req: Request, body: Body, group_type_id: str) -> Body:
    """Add specs, or change their values. 202 with these specs. 400: a wrong key, or too many. 404: no such type."""
    _set(req, group_type_id, body["group_specs"])
    return {"group_specs": _texts(body["group_specs"])}


@route("GET", _PATH + "/{key}", policy=Rule("group:group_types_specs:get", ADMIN), since="3.11", response=_ONE)
def show(req: Request, group_type_id: str, key: str) -> Body:
    """Show one spec. 200. 404: no such type, or it has none of this key."""
    return {key: _value(group_types.get(req.db, group_type_id, is_admin=True), key)}


@route("PUT", _PATH + "/{key}", policy=Rule("group:group_types_specs:update", ADMIN), since="3.11", body={"3.11": UPDATE}, response=_ONE)
def update(req: Request, body: Body, group_type_id: str, key: str) -> Body:
    """Set one spec. 200 with the spec. 400: the body has another key than the path. 404: no such type."""
    if key not in body:
        raise errors.BadRequest(reason=f"Request body and URI mismatch: the body has no {key!r}")
    _set(req, group_type_id, body)
    return _texts(body)


@route("DELETE", _PATH + "/{key}", policy=Rule("group:group_types_specs:delete", ADMIN), since="3.11", status=202)
def delete(req: Request, group_type_id: str, key: str) -> None:
    """Remove one spec. 202 with no body. 404: no such type, or it has none of this key."""
    changed = group_types.get(req.db, group_type_id, is_admin=True, is_locked=True)
    _value(changed, key)
    changed.group_specs = {other: value for other, value in changed.group_specs.items() if other != key}


def _set(req: Request, group_type_id: str, added: Mapping[str, str | None]) -> None:
    changed = group_types.get(req.db, group_type_id, is_admin=True, is_locked=True)
    specs = {**changed.group_specs, **_texts(added)}
    if len(specs) > schemas.MAX_METADATA:
        raise errors.BadRequest(reason=f"Group type {changed.name} may have {schemas.MAX_METADATA} specs at most")
    changed.group_specs = specs


def _texts(specs: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value or "" for key, value in specs.items()}


def _value(found: GroupType, key: str) -> str:
    if key not in found.group_specs:
        raise errors.NotFound(f"Group Type {found.id} has no specs with key {key}.")
    return found.group_specs[key]
