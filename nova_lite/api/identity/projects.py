# SPDX-License-Identifier: Apache-2.0
"""/projects: list, create, show, update and delete."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.identity.catalog import SELF, collection, listed
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, EMPTY_LIST, OBJECT, STRING, Field, Property, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.identity import users

_GET = Rule("identity:get_project", ANYONE)
_PROPERTIES = {
    "name": {"type": "string", "minLength": 1, "maxLength": 64},
    "description": {"type": ["string", "null"], "maxLength": 255},
    "enabled": {"type": "boolean"},
    "domain_id": {"type": ["string", "null"], "maxLength": 64},
    "is_domain": {"enum": [False]},
}
# Keystone stores unknown properties, so clients send some: they are accepted and ignored.
CREATE = {
    "type": "object",
    "properties": {"project": {"type": "object", "properties": _PROPERTIES, "required": ["name"]}},
    "required": ["project"],
}
UPDATE = {
    "type": "object",
    "properties": {"project": {"type": "object", "properties": _PROPERTIES}},
    "required": ["project"],
}


FIELDS = (
    Field("id", lambda p: p.id, STRING),
    Field("name", lambda p: p.name, STRING),
    Field("description", lambda p: p.description, STRING),
    Field("enabled", lambda p: p.enabled, BOOLEAN),
    Field("domain_id", lambda p: p.domain_id, STRING),
    Field("parent_id", lambda p: p.domain_id, STRING),  # there is no hierarchy of projects
    Field("is_domain", lambda _: False, BOOLEAN),
    Field("tags", lambda _: [], EMPTY_LIST),
    Field("options", lambda _: {}, OBJECT),
)
PROJECT = (*FIELDS, Property("links", SELF))


def project_view(req: Request, project: users.Project) -> Body:
    """A project as Keystone shows it."""
    return {**view(FIELDS, project, req), "links": {"self": f"{req.base_url}/projects/{project.id}"}}


def enabled_filter(req: Request) -> bool | None:
    """The query's `enabled`, or None without it. As in Keystone, all but 0 and false is true."""
    text = req.query.get("enabled")
    return None if text is None else text.lower() not in ("0", "false")


@route("GET", "/projects", policy=Rule("identity:list_projects", ADMIN), response=listed("projects", PROJECT))
def index(req: Request) -> Body:
    """List projects; `name`, `domain_id` and `enabled` filter. 200."""
    rows = users.find(
        req.db,
        users.Project,
        name=req.query.get("name"),
        domain_id=req.query.get("domain_id"),
        is_enabled=enabled_filter(req),
    )
    return collection(req, "projects", "/projects", [project_view(req, project) for project in rows])


@route(
    "POST", "/projects", policy=Rule("identity:create_project", ADMIN), status=201, body={"2.0": CREATE},
    response=closed(project=PROJECT),
)
def create(req: Request, body: Body) -> Body:
    """Create a project. 201. 404: no such domain. 409: the name is in use in the domain."""
    params = body["project"]
    domain = users.get(req.db, users.Domain, params.get("domain_id") or users.DEFAULT_DOMAIN)
    project = users.Project(
        domain_id=domain.id,
        name=params["name"],
        description=params.get("description") or "",
        enabled=params.get("enabled", True),
    )
    return {"project": project_view(req, users.add(req.db, project))}


@route("GET", "/projects/{project_id}", policy=_GET, response=closed(project=PROJECT))
def show(req: Request, project_id: str) -> Body:
    """Show one project: of the caller, or any for an admin. 200. 403: another one. 404: no such project."""
    if not req.ctxt.is_admin and project_id != req.ctxt.project_id:
        # Also for projects that do not exist: the answer must not reveal which do.
        own = users.projects_of(req.db, req.ctxt.user_id)
        if project_id not in {project.id for project in own}:
            raise errors.PolicyForbids(rule=_GET.name)
    return {"project": project_view(req, users.get(req.db, users.Project, project_id))}


@route(
    "PATCH", "/projects/{project_id}", policy=Rule("identity:update_project", ADMIN), body={"2.0": UPDATE},
    response=closed(project=PROJECT),
)
def update(req: Request, body: Body, project_id: str) -> Body:
    """Change a project's name, description or `enabled`; the tokens of a disabled project's users end.

    200. 400: `domain_id` cannot change. 404: no such project. 409: the name is in use in the domain.
    """
    project, params = users.get(req.db, users.Project, project_id), body["project"]
    if params.get("domain_id") not in (None, project.domain_id):
        raise errors.InvalidField(field="project/domain_id", reason="cannot be changed")
    project.name = params.get("name", project.name)
    project.description = (params["description"] or "") if "description" in params else project.description
    if project.enabled and not params.get("enabled", True):
        users.revoke_by_assignments(req.db, project_id=project.id)
    project.enabled = params.get("enabled", project.enabled)
    users.flush_unique(req.db, project)
    return {"project": project_view(req, project)}


@route("DELETE", "/projects/{project_id}", policy=Rule("identity:delete_project", ADMIN), status=204)
def delete(req: Request, project_id: str) -> None:
    """Delete the project and its role assignments. 204. 404: no such project."""
    users.delete(req.db, users.get(req.db, users.Project, project_id))
