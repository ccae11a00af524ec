# SPDX-License-Identifier: Apache-2.0
"""Group types: what groups of volumes may be, as operators offer it to projects."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import paging, schemas
from nova_lite.api.volume.common.policy_checks import may
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, STRING, STRING_OR_NULL, STRINGS, UUID, Field, Property, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.volume import group_types, groups
from nova_lite.db.volume.group_types import GroupType

SPECS = Rule("group:access_group_types_specs", ADMIN)
_SHOW = Rule("group:group_types:get", READER)
SORT_KEYS = ("created_at", "description", "id", "is_public", "name", "updated_at")
FIELDS = (
    Field("id", lambda found: found.id, UUID),
    Field("name", lambda found: found.name, STRING),
    Field("description", lambda found: found.description, STRING_OR_NULL),
    Field("is_public", lambda found: found.is_public, BOOLEAN),
)
_SPECS = Property("group_specs", STRINGS, is_optional=True)
_TYPE = closed(group_type=(*FIELDS, _SPECS))
CREATE = schemas.keyed("group_type", schemas.closed(
    {"name": schemas.NAME, "description": schemas.DESCRIPTION, "is_public": schemas.BOOLEAN,
     "group_specs": {**schemas.EXTRA_SPECS, "type": ["object", "null"]}}, required=("name",)))
UPDATE = schemas.keyed("group_type", schemas.closed(
    {"name": {**schemas.NAME_OR_NULL, "pattern": r"\S"}, "description": schemas.DESCRIPTION, "is_public": schemas.BOOLEAN}))


@route("GET", "/group_types", policy=_SHOW, since="3.11", response=paging.plain_page_of("group_types", (*FIELDS, _SPECS), links="group_type_links"))
def index(req: Request) -> Body:
    """List the group types that the caller may use; an admin chooses which by `is_public`.

    200, a page. 400: a wrong filter, limit or order. 404: the marker is none of them.
    """
    page = paging.read_page(req, sort_keys=SORT_KEYS)
    listed = paging.slice_of(req, group_types.find(req.db, is_public=_is_public(req)), page)
    links = paging.links_of(req, "group_type", "/group_types", page, [one.id for one in listed])
    return {"group_types": [_document(req, one) for one in listed], **links}


def _is_public(req: Request) -> bool | None:
    if not req.ctxt.is_admin:
        return True
    return None if req.query.get("is_public", "").lower() == "none" else paging.boolean(req, "is_public", otherwise=True)


@route("GET", "/group_types/{group_type_id}", policy=_SHOW, since="3.11", response=_TYPE)
def show(req: Request, group_type_id: str) -> Body:
    """Show a group type; `default` is the one that replaces consistency groups, if there is one. 200. 404: no such type."""
    name = group_types.DEFAULT if group_type_id == "default" else group_type_id
    return {"group_type": _document(req, group_types.get(req.db, name, is_admin=req.ctxt.is_admin))}


@route("POST", "/group_types", policy=Rule("group:group_types:create", ADMIN), since="3.11", status=202, body={"3.11": CREATE}, response=_TYPE)
def create(req: Request, body: Body) -> Body:
    """Create a group type. 202 with the type. 400: an empty name, or a wrong spec. 409: the name is taken."""
    params = body["group_type"]
    specs = {key: value or "" for key, value in (params.get("group_specs") or {}).items()}
    made = group_types.add(req.db, GroupType(
        name=params["name"].strip(), description=params.get("description"), is_public=schemas.is_true(params.get("is_public", True)),
        group_specs=specs))
    return {"group_type": _document(req, made)}


@route("PUT", "/group_types/{group_type_id}", policy=Rule("group:group_types:update", ADMIN), since="3.11", body={"3.11": UPDATE}, response=_TYPE)
def update(req: Request, body: Body, group_type_id: str) -> Body:
    """Change a type's name, description or whether it is public.

    200 with the type. 400: nothing to change, or an empty name. 404: no such type. 409: the name is taken.
    """
    params = body["group_type"]
    if all(params.get(name) is None for name in ("name", "description", "is_public")):
        raise errors.BadRequest(reason="Specify group type name, description, is_public or a combination thereof.")
    changed = group_types.get(req.db, group_type_id, is_admin=True, is_locked=True)
    name = (params.get("name") or changed.name).strip()
    if name != changed.name:
        group_types.rename(req.db, changed, name)
    if params.get("description") is not None:
        changed.description = params["description"]
    if params.get("is_public") is not None:
        changed.is_public = schemas.is_true(params["is_public"])
    return {"group_type": _document(req, changed)}


@route("DELETE", "/group_types/{group_type_id}", policy=Rule("group:group_types:delete", ADMIN), since="3.11", status=202)
def delete(req: Request, group_type_id: str) -> None:
    """Delete a group type. 202 with no body. 400: groups have it. 404: no such type."""
    found = group_types.get(req.db, group_type_id, is_admin=True, is_locked=True)
    group_types.remove(req.db, found, in_use=groups.of_type(found.id))


def _document(req: Request, group_type: GroupType) -> Body:
    return {**view(FIELDS, group_type, req), **({"group_specs": dict(group_type.group_specs)} if may(req, SPECS) else {})}
