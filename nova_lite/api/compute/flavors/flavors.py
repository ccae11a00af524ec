# SPDX-License-Identifier: Apache-2.0
"""Flavors, and the projects with access to those that are not public."""

from __future__ import annotations

import uuid

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import links
from nova_lite.api.compute.common.patterns import read_pattern
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    LINKS,
    NUMBER,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    Field,
    Property,
    closed,
    many,
    page,
    view,
)
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, READER, Rule
from nova_lite.api.wsgi.validation import MAX_INTEGER
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.compute import flavors
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.patterns import Pattern

SHOW_SPECS = Rule("os_compute_api:os-flavor-extra-specs:index", READER)
SHOW = Rule("os_compute_api:flavors", ANYONE)

INDEX_FIELDS = (
    Field("id", lambda flavor: flavor.id, STRING),
    Field("name", lambda flavor: flavor.name, STRING),
    Field("description", lambda flavor: flavor.description, STRING_OR_NULL, since="2.55"),
)
FIELDS = (
    *INDEX_FIELDS,
    Field("ram", lambda flavor: flavor.ram_mb, INTEGER),
    Field("disk", lambda flavor: flavor.root_gb, INTEGER),
    Field("vcpus", lambda flavor: flavor.vcpus, INTEGER),
    Field("swap", lambda flavor: flavor.swap_mb or "", {"anyOf": [INTEGER, {"const": ""}]}, until="2.74"),
    Field("swap", lambda flavor: flavor.swap_mb, INTEGER, since="2.75"),
    Field("OS-FLV-EXT-DATA:ephemeral", lambda flavor: flavor.ephemeral_gb, INTEGER),
    Field("OS-FLV-DISABLED:disabled", lambda flavor: flavor.disabled, BOOLEAN, until="2.101"),
    Field("os-flavor-access:is_public", lambda flavor: flavor.is_public, BOOLEAN),
    Field("rxtx_factor", lambda flavor: flavor.rxtx_factor, NUMBER, until="2.101"),
    Field("extra_specs", lambda flavor: flavor.extra_specs, STRINGS, since="2.61", role=SHOW_SPECS.role),
)
_LINKS = Property("links", LINKS)
_LIST, _DETAIL = page("flavors", (*INDEX_FIELDS, _LINKS)), page("flavors", (*FIELDS, _LINKS))
_FLAVOR = closed(flavor=(*FIELDS, _LINKS))
_ACCESS_LIST = closed(flavor_access=many(closed(flavor_id=STRING, tenant_id=STRING)))

_SIZES = {"ram": schemas.integer(1), "vcpus": schemas.integer(1), "disk": schemas.integer(0),
          "swap": schemas.integer(0), "OS-FLV-EXT-DATA:ephemeral": schemas.integer(0)}
_CREATE = {
    **_SIZES,
    "name": schemas.NAME,
    "id": {"anyOf": [{"type": "string", "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9. _-]*(?<! )$"},
                     {"type": ["integer", "null"]}]},
    "rxtx_factor": {"anyOf": [{"type": "number", "exclusiveMinimum": 0},
                              {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}]},
    "os-flavor-access:is_public": schemas.BOOLEAN,
}
_REQUIRED = ("name", "ram", "vcpus", "disk")
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 65535}
CREATE = schemas.keyed("flavor", schemas.closed(_CREATE, required=_REQUIRED))
CREATE_DESCRIBED = schemas.keyed(
    "flavor", schemas.closed({**_CREATE, "description": _DESCRIPTION}, required=_REQUIRED))
CREATE_WITHOUT_RXTX = schemas.keyed("flavor", schemas.closed(
    {**{name: _CREATE[name] for name in _CREATE if name != "rxtx_factor"}, "description": _DESCRIPTION}, required=_REQUIRED))
UPDATE = schemas.keyed("flavor", schemas.closed({"description": _DESCRIPTION}, required=("description",)))
_ACCESS = schemas.closed({"tenant": {"type": "string", "minLength": 1, "maxLength": 255,
                                     "pattern": r"^[a-zA-Z0-9-]*$"}}, required=("tenant",))
_QUERY_PARAMETERS = ("is_public", "limit", "marker", "minDisk", "minRam", "sort_dir", "sort_key")
QUERY = schemas.queries({"2.0": _QUERY_PARAMETERS, "2.102": ("name",)})
_NAME_FILTER_SINCE = parse("2.102")


def _document(req: Request, flavor: Flavor) -> Body:
    return {**view(FIELDS, flavor, req), "links": links(req, f"/flavors/{flavor.id}")}


@route("GET", "/flavors", policy=SHOW, query=QUERY, response=_LIST)
def index(req: Request) -> Body:
    """List ids and names of the flavors that the caller may use.

    200, a page ordered by `sort_key`. 400: a wrong marker, limit, filter or sort key.
    """
    rows, next_page = _page(req, "/flavors")
    documents = [{**view(INDEX_FIELDS, flavor, req), "links": links(req, f"/flavors/{flavor.id}")} for flavor in rows]
    return {"flavors": documents, **next_page}


@route("GET", "/flavors/detail", policy=SHOW, query=QUERY, response=_DETAIL)
def detail(req: Request) -> Body:
    """List the flavors that the caller may use, with all fields. 200 and 400 as for the short list."""
    rows, next_page = _page(req, "/flavors/detail")
    return {"flavors": [_document(req, flavor) for flavor in rows], **next_page}


def _page(req: Request, path: str) -> tuple[list[Flavor], Body]:
    sort_key = req.query.get("sort_key", "flavorid")
    if sort_key not in flavors.SORT_KEYS:
        raise errors.InvalidField(field="sort_key", reason=f"'{sort_key}' is not one of {sorted(flavors.SORT_KEYS)}")
    limit = paging.limit(req)
    rows = flavors.find(
        req.db, project_id=req.ctxt.visible_project, is_public=_is_public(req), min_ram_mb=paging.minimum(req, "minRam"),
        min_disk_gb=paging.minimum(req, "minDisk"), sort_key=sort_key, is_descending=req.query.get("sort_dir") == "desc",
        marker=req.query.get("marker"), limit=limit + 1, name_pattern=_name_pattern(req))
    if len(rows) > limit > 0:
        return rows[:limit], {"flavors_links": [paging.next_link(req, path=path, marker=rows[limit - 1].id)]}
    return rows[:limit], {}


def _name_pattern(req: Request) -> Pattern | None:
    """The regular expression of the filter `name`; None: no filter.

    :raises errors.InvalidField: not a regular expression.
    """
    text = req.query.get("name")
    if text is None or req.version < _NAME_FILTER_SINCE:
        return None
    return read_pattern("name", text)


def _is_public(req: Request) -> bool | None:
    """The filter `is_public`; None: both kinds. A user sees the public flavors and those that the project has access to.

    :raises errors.BadRequest: not a boolean or `none`.
    """
    text = req.query.get("is_public", "true").lower()
    if not req.ctxt.is_admin:
        return None
    if text == "none":
        return None
    if text not in schemas.TRUE_STRINGS + schemas.FALSE_STRINGS:
        raise errors.BadRequest(reason=f"Invalid is_public filter [{text}]")
    return text in schemas.TRUE_STRINGS


@route("GET", "/flavors/{flavor_id}", policy=SHOW, response=_FLAVOR)
def show(req: Request, flavor_id: str) -> Body:
    """Show one flavor. 200. 404: no such flavor, or the project has no access to it."""
    return {"flavor": _document(req, flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project))}


@route("POST", "/flavors", policy=Rule("os_compute_api:os-flavor-manage:create", ADMIN),
       body={"2.0": CREATE, "2.55": CREATE_DESCRIBED, "2.102": CREATE_WITHOUT_RXTX}, response=_FLAVOR)
def create(req: Request, body: Body) -> Body:
    """Create a flavor; without an id, or with `auto`, it gets a UUID.

    200 with the flavor. 400: a size is out of range. 409: the id or the name is taken.
    """
    params = body["flavor"]
    sizes = {name: _size(params, name) for name in _SIZES}
    requested_id = str(params.get("id") or "auto")
    flavor = Flavor(
        id=str(uuid.uuid4()) if requested_id == "auto" else requested_id, name=params["name"], ram_mb=sizes["ram"],
        vcpus=sizes["vcpus"], root_gb=sizes["disk"], swap_mb=sizes["swap"], description=params.get("description"),
        ephemeral_gb=sizes["OS-FLV-EXT-DATA:ephemeral"], rxtx_factor=float(params.get("rxtx_factor", 1.0)),
        is_public=schemas.is_true(params.get("os-flavor-access:is_public", True)), extra_specs={}, projects=[],
        disabled=False)
    return {"flavor": _document(req, flavors.add(req.db, flavor))}


def _size(params: Body, name: str) -> int:
    """The requested size, which may be digits in a string.

    :raises errors.InvalidField: out of range.
    """
    value, minimum = int(params.get(name, 0)), 1 if name in ("ram", "vcpus") else 0
    if not minimum <= value <= MAX_INTEGER:
        raise errors.InvalidField(field=name, reason=f"{value} is not between {minimum} and {MAX_INTEGER}")
    return value


@route("PUT", "/flavors/{flavor_id}", policy=Rule("os_compute_api:os-flavor-manage:update", ADMIN), since="2.55",
       body={"2.55": UPDATE}, response=_FLAVOR)
def update(req: Request, body: Body, flavor_id: str) -> Body:
    """Change a flavor's description, its one field that may change. 200 with the flavor. 404: no such flavor."""
    flavor = flavors.get(req.db, flavor_id, project_id=None, is_locked=True)
    flavor.description = body["flavor"]["description"]
    return {"flavor": _document(req, flavor)}


@route("DELETE", "/flavors/{flavor_id}", policy=Rule("os_compute_api:os-flavor-manage:delete", ADMIN), status=202)
def delete(req: Request, flavor_id: str) -> None:
    """Delete a flavor; servers created with it keep their copy. 202 with no body. 404: no such flavor."""
    flavors.remove(req.db, flavors.get(req.db, flavor_id, project_id=None))


@route("GET", "/flavors/{flavor_id}/os-flavor-access", policy=Rule("os_compute_api:os-flavor-access", ADMIN), response=_ACCESS_LIST)
def list_access(req: Request, flavor_id: str) -> Body:
    """List the projects with access to a flavor. 200. 404: no such flavor, or it is public."""
    flavor = flavors.get(req.db, flavor_id, project_id=None)
    if flavor.is_public:
        raise errors.NotFound("Access list not available for public flavors.")
    return _access_list(flavor)


@action("addTenantAccess", path="/flavors/{flavor_id}/action", status=200, until="2.6",
        policy=Rule("os_compute_api:os-flavor-access:add_tenant_access", ADMIN),
        body={"2.0": schemas.keyed("addTenantAccess", _ACCESS)}, response=_ACCESS_LIST)
def add_access(req: Request, body: Body, flavor_id: str) -> Body:
    """Give a project access to the flavor.

    200 with all projects that have access. 404: no such flavor. 409: the project has access already.
    """
    return _grant_access(flavors.get(req.db, flavor_id, project_id=None, is_locked=True), body)


@action("addTenantAccess", path="/flavors/{flavor_id}/action", status=200, since="2.7",
        policy=Rule("os_compute_api:os-flavor-access:add_tenant_access", ADMIN),
        body={"2.7": schemas.keyed("addTenantAccess", _ACCESS)}, response=_ACCESS_LIST)
def add_access_to_private(req: Request, body: Body, flavor_id: str) -> Body:
    """Give a project access to the flavor.

    200 with all projects that have access. 404: no such flavor. 409: it is public, or the project has access already.
    """
    flavor = flavors.get(req.db, flavor_id, project_id=None, is_locked=True)
    if flavor.is_public:
        raise errors.Conflict(reason="Can not add access to a public flavor.")
    return _grant_access(flavor, body)


def _grant_access(flavor: Flavor, body: Body) -> Body:
    project_id = body["addTenantAccess"]["tenant"]
    if project_id in flavor.projects:
        raise errors.Conflict(reason=f"Flavor access already exists for flavor {flavor.id} and project {project_id} "
                                     "combination.")
    flavor.projects = [*flavor.projects, project_id]
    return _access_list(flavor)


@action("removeTenantAccess", path="/flavors/{flavor_id}/action", status=200,
        policy=Rule("os_compute_api:os-flavor-access:remove_tenant_access", ADMIN),
        body={"2.0": schemas.keyed("removeTenantAccess", _ACCESS)}, response=_ACCESS_LIST)
def remove_access(req: Request, body: Body, flavor_id: str) -> Body:
    """Take a project's access to the flavor away; its servers stay.

    200 with the projects that still have access. 404: no such flavor, or the project has no access.
    """
    flavor = flavors.get(req.db, flavor_id, project_id=None, is_locked=True)
    project_id = body["removeTenantAccess"]["tenant"]
    if project_id not in flavor.projects:
        raise errors.NotFound(f"Flavor access not found for {flavor.id} / {project_id} combination.")
    flavor.projects = [other for other in flavor.projects if other != project_id]
    return _access_list(flavor)


def _access_list(flavor: Flavor) -> Body:
    return {"flavor_access": [{"flavor_id": flavor.id, "tenant_id": project_id} for project_id in flavor.projects]}
