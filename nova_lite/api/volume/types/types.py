# SPDX-License-Identifier: Apache-2.0
"""Volume types: what volumes may be, as operators offer it to projects."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.volume.common import paging, schemas
from nova_lite.api.volume.common.policy_checks import may
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, STRING, STRING_OR_NULL, STRINGS, UUID, Field, Property, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import quota, volume_types
from nova_lite.db.volume.volume_types import VolumeType

SHOW = Rule("volume_extension:type_get", READER)
SPECS = Rule("volume_extension:access_types_extra_specs", READER)
SENSITIVE = Rule("volume_extension:types_extra_specs:read_sensitive", ADMIN)
QOS_SPECS_ID = Rule("volume_extension:access_types_qos_specs_id", ADMIN)
# Specs that every user of a type may know.
VISIBLE_SPECS = ("multiattach", "RESKEY:availability_zones", "replication_enabled")
SORT_KEYS = ("created_at", "description", "id", "is_public", "name", "updated_at")
_SPECS_FILTER_SINCE = parse("3.52")
_MAX_FILTER = 4096  # characters of the filter extra_specs

_FIELDS = (
    Field("id", lambda found: found.id, UUID),
    Field("name", lambda found: found.name, STRING),
    Field("description", lambda found: found.description, STRING_OR_NULL),
    Field("is_public", lambda found: found.is_public, BOOLEAN),
)
_ACCESS = Field("os-volume-type-access:is_public", lambda found: found.is_public, BOOLEAN)
_BY_RULE = (Property("extra_specs", STRINGS, is_optional=True), Property("qos_specs_id", STRING_OR_NULL, is_optional=True))
_TYPE = closed(volume_type=(*_FIELDS, _ACCESS, *_BY_RULE))
_MADE = closed(volume_type=(*_FIELDS, _ACCESS, _BY_RULE[0]))
_UPDATED = closed(volume_type=(*_FIELDS, _BY_RULE[0]))
_LIST = paging.plain_page_of("volume_types", (*_FIELDS, _ACCESS, *_BY_RULE), links="volume_type_links")

CREATE = schemas.keyed("volume_type", schemas.closed(
    {"name": schemas.NAME, "description": schemas.DESCRIPTION, "extra_specs": {**schemas.EXTRA_SPECS, "type": ["object", "null"]},
     "os-volume-type-access:is_public": schemas.BOOLEAN}, required=("name",)))
UPDATE = schemas.keyed("volume_type", schemas.closed(
    {"name": {**schemas.NAME_OR_NULL, "pattern": r"\S"}, "description": schemas.DESCRIPTION, "is_public": schemas.BOOLEAN}))


@route("GET", "/types", policy=Rule("volume_extension:type_get_all", READER), response=_LIST)
def index(req: Request) -> Body:
    """List the volume types that the caller's project may use; an admin chooses which by `is_public`.

    200, a page. 400: a wrong filter, limit or order. 404: the marker is none of them.
    """
    found = [one for one in _listed(req) if _has_specs(one, _specs_filter(req))]
    page = paging.read_page(req, sort_keys=SORT_KEYS)
    listed = paging.slice_of(req, found, page)
    links = paging.links_of(req, "volume_type", "/types", page, [one.id for one in listed])
    return {"volume_types": [_document(req, one) for one in listed], **links}


def _listed(req: Request) -> list[VolumeType]:
    """Users see the public types and those that their project has access to, an admin by default the public ones."""
    if not req.ctxt.is_admin:
        return volume_types.find(req.db, project_id=req.ctxt.project_id)
    text = req.query.get("is_public")
    if text is not None and text.lower() == "none":
        return volume_types.find(req.db, project_id=None)
    if paging.boolean(req, "is_public", otherwise=True):
        return volume_types.find(req.db, project_id=req.ctxt.project_id)
    return volume_types.find(req.db, project_id=None, is_public=False)


def _specs_filter(req: Request) -> dict[str, str]:
    """The filter `extra_specs={'key': 'value'}`; users filter by what they may know.

    :raises errors.BadRequest: it is no such text.
    """
    text = req.query.get("extra_specs")
    if text is None or req.version < _SPECS_FILTER_SINCE:
        return {}
    wanted = read_mapping("extra_specs", text)
    unknown = {} if may(req, SENSITIVE) else wanted.keys() - set(VISIBLE_SPECS)
    if unknown:
        raise errors.BadRequest(reason=f"Filter keys {sorted(unknown)} of extra_specs are not visible to users")
    return wanted


def read_mapping(name: str, text: str) -> dict[str, str]:
    """The dictionary of strings that the filter has: `{'key': 'value'}`, as clients print one.

    :raises errors.BadRequest: it has none.
    """
    try:
        found = ast.literal_eval(text) if len(text) <= _MAX_FILTER else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, dict):
        raise errors.BadRequest(reason=f"Invalid filter {name}: expected {{'key': 'value'}}, in {_MAX_FILTER} characters at most")
    return {str(key): str(value) for key, value in found.items()}


def _has_specs(volume_type: VolumeType, wanted: Mapping[str, str]) -> bool:
    return all(volume_type.extra_specs.get(key) == value for key, value in wanted.items())


@route("GET", "/types/{type_id}", policy=SHOW, response=_TYPE)
def show(req: Request, type_id: str) -> Body:
    """Show a volume type; `default` is the one of volumes that are made without a type. 200. 404: none that the project may use."""
    if type_id == "default":
        return {"volume_type": _document(req, volume_types.default(req.db, req.conf, project_id=req.ctxt.project_id))}
    return {"volume_type": _document(req, volume_types.get_by_id(req.db, type_id, project_id=req.ctxt.visible_project))}


@route("POST", "/types", policy=Rule("volume_extension:type_create", ADMIN), body={"3.0": CREATE}, response=_MADE)
def create(req: Request, body: Body) -> Body:
    """Create a volume type. 200 with the type. 400: an empty name, or a wrong spec. 409: the name is taken."""
    params = body["volume_type"]
    made = volume_types.add(req.db, VolumeType(
        name=params["name"].strip(), description=params.get("description"), extra_specs=dict(params.get("extra_specs") or {}),
        is_public=schemas.is_true(params.get("os-volume-type-access:is_public", True))))
    return {"volume_type": {**view((*_FIELDS, _ACCESS), made, req), **_specs(req, made)}}


@route("PUT", "/types/{type_id}", policy=Rule("volume_extension:type_update", ADMIN), body={"3.0": UPDATE}, response=_UPDATED)
def update(req: Request, body: Body, type_id: str) -> Body:
    """Change a type's name, description or whether it is public.

    200 with the type. 400: nothing to change, or an empty name. 404: no such type. 409: the name is taken.
    """
    params = body["volume_type"]
    if all(params.get(name) is None for name in ("name", "description", "is_public")):
        raise errors.BadRequest(reason="Specify volume type name, description, is_public or a combination thereof.")
    changed = volume_types.get_by_id(req.db, type_id, is_locked=True)
    name = (params.get("name") or changed.name).strip()
    if name != changed.name:
        quota.rename_type(req.db, changed.name, name)
        volume_types.rename(req.db, changed, name)
    if params.get("description") is not None:
        changed.description = params["description"]
    if params.get("is_public") is not None:
        changed.is_public = schemas.is_true(params["is_public"])
    return {"volume_type": {**view(_FIELDS, changed, req), **_specs(req, changed)}}


@route("DELETE", "/types/{type_id}", policy=Rule("volume_extension:type_delete", ADMIN), status=202)
def delete(req: Request, type_id: str) -> None:
    """Delete a volume type. 202 with no body. 400: volumes have it, or it is a default. 404: no such type."""
    found = volume_types.get_by_id(req.db, type_id, is_locked=True)
    volume_types.remove(req.db, req.conf, found)
    quota.forget_type(req.db, found.name)


def _document(req: Request, volume_type: VolumeType) -> Body:
    qos = {"qos_specs_id": volume_type.qos_specs_id} if may(req, QOS_SPECS_ID) else {}
    return {**view((*_FIELDS, _ACCESS), volume_type, req), **_specs(req, volume_type), **qos}


def _specs(req: Request, volume_type: VolumeType) -> Body:
    return {"extra_specs": specs_for(req, volume_type)} if may(req, SPECS) else {}


def specs_for(req: Request, volume_type: VolumeType) -> dict[str, str]:
    """The extra specs that the caller may know: users those of VISIBLE_SPECS."""
    if may(req, SENSITIVE):
        return dict(volume_type.extra_specs)
    return {key: value for key, value in volume_type.extra_specs.items() if key in VISIBLE_SPECS}
