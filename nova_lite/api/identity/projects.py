# SPDX-License-Identifier: Apache-2.0
"""/projects: list, create, show, update and delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from nova_lite import errors
from nova_lite.api.identity import attributes
from nova_lite.api.identity.catalog import SELF, collection, listed
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, OBJECT, STRING, Field, Property, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.identity import project_tags, users

_GET = Rule("identity:get_project", ANYONE)
TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}
TAGS = {"type": "array", "items": TAG, "maxItems": project_tags.MAX_TAGS, "uniqueItems": True}
_PROPERTIES = {
    "name": {"type": "string", "minLength": 1, "maxLength": 64},
    "description": {"type": ["string", "null"], "maxLength": 255},
    "enabled": {"type": "boolean"},
    "domain_id": {"type": ["string", "null"], "maxLength": 64},
    "parent_id": {"type": ["string", "null"], "maxLength": 64},
    "is_domain": {"enum": [False]},
    "tags": TAGS,
}
CREATE = attributes.body("project", _PROPERTIES, required=["name"])
UPDATE = attributes.body("project", _PROPERTIES)


FIELDS = (
    Field("id", lambda p: p.id, STRING),
    Field("name", lambda p: p.name, STRING),
    Field("description", lambda p: p.description, STRING),
    Field("enabled", lambda p: p.enabled, BOOLEAN),
    Field("domain_id", lambda p: p.domain_id, STRING),
    Field("parent_id", lambda p: p.domain_id, STRING),  # there is no hierarchy of projects
    Field("is_domain", lambda _: False, BOOLEAN),
)
PROJECT = attributes.shown(
    *FIELDS, Property("tags", many(STRING)), Property("options", OBJECT), Property("links", SELF))
# What hangs off a project in a hierarchy, of which there is none: (parameter, attribute, value).
_RELATIVES: tuple[tuple[str, str, Any], ...] = (
    ("parents_as_list", "parents", []), ("parents_as_ids", "parents", {users.DEFAULT_DOMAIN: None}),
    ("subtree_as_list", "subtree", []), ("subtree_as_ids", "subtree", None))


def project_views(req: Request, projects: Sequence[users.Project]) -> list[Body]:
    """Projects as Keystone shows them."""
    tags = project_tags.tags_of(req.db, [project.id for project in projects])
    return [{**attributes.show(req, FIELDS, project), "tags": tags[project.id],
             "links": {"self": f"{req.base_url}/projects/{project.id}"}} for project in projects]


def enabled_filter(req: Request) -> bool | None:
    """The query's `enabled`, or None without it. As in Keystone, all but 0 and false is true."""
    return _boolean(req, "enabled")


def _boolean(req: Request, name: str) -> bool | None:
    text = req.query.get(name)
    return None if text is None else text.lower() not in ("0", "false")


def refuse_comparators(req: Request) -> None:
    """Refuse Keystone's inexact filters, such as `name__contains`: ignored, they would list too much.

    :raises errors.BadRequest: naming the parameter.
    """
    inexact = next((name for name in req.query if "__" in name), None)
    if inexact is not None:
        raise errors.BadRequest(reason=f"Query parameter {inexact} is not supported: filters compare whole values.")


@route("GET", "/projects", policy=Rule("identity:list_projects", ADMIN), response=listed("projects", PROJECT))
def index(req: Request) -> Body:
    """List projects; `name`, `domain_id`, `parent_id`, `is_domain` and `enabled` filter, and by tags `tags`, `tags-any`, `not-tags` and `not-tags-any`.

    200. 400: an inexact filter.
    """
    refuse_comparators(req)
    parent = req.query.get("parent_id")
    rows = [] if _boolean(req, "is_domain") or parent not in (None, users.DEFAULT_DOMAIN) else users.find(
        req.db, users.Project, name=req.query.get("name"), domain_id=req.query.get("domain_id"),
        is_enabled=enabled_filter(req), conditions=_tag_filters(req))
    return collection(req, "projects", "/projects", project_views(req, rows))


def _tag_filters(req: Request) -> list[sa.ColumnElement[bool]]:
    """Each parameter is a list of tags, separated by commas."""
    kinds = {"tags": project_tags.has_all, "tags-any": project_tags.has_any}
    filters = []
    for name, condition in kinds.items():
        if name in req.query:
            filters.append(condition(req.query[name].split(",")))
        if f"not-{name}" in req.query:
            filters.append(sa.not_(condition(req.query[f"not-{name}"].split(","))))
    return filters


@route(
    "POST", "/projects", policy=Rule("identity:create_project", ADMIN), status=201, body={"2.0": CREATE},
    response=closed(project=PROJECT),
)
def create(req: Request, body: Body) -> Body:
    """Create a project; attributes that this service does not know are kept.

    201. 400: an option, or an id. 403: `parent_id` is another project: there is no hierarchy. 404: no such domain or
    parent. 409: the name is in use in the domain.
    """
    params = body["project"]
    domain = users.get(req.db, users.Domain, params.get("domain_id") or users.DEFAULT_DOMAIN)
    parent_id = params.get("parent_id") or domain.id
    if parent_id != domain.id:
        # As a Keystone whose `max_project_tree_depth` is 1.
        users.get(req.db, users.Project, parent_id)
        raise errors.Forbidden(reason=f"Max hierarchy depth reached for {parent_id} branch.")
    project = users.Project(
        domain_id=domain.id,
        name=params["name"],
        description=params.get("description") or "",
        enabled=params.get("enabled", True),
    )
    attributes.keep(project, params, _PROPERTIES)
    users.add(req.db, project)
    project_tags.replace(req.db, project.id, params.get("tags", []))
    return {"project": project_views(req, [project])[0]}


@route("GET", "/projects/{project_id}", policy=_GET, response=closed(project=PROJECT))
def show(req: Request, project_id: str) -> Body:
    """Show one project: of the caller, or any for an admin; with `parents_as_list`, `parents_as_ids`, `subtree_as_list` or `subtree_as_ids` those too.

    200. 400: a list and ids of the same. 403: another one. 404: no such project.
    """
    require_own(req, project_id, _GET)
    view = project_views(req, [users.get(req.db, users.Project, project_id)])[0]
    relatives = [(name, attribute, value) for name, attribute, value in _RELATIVES if _boolean(req, name)]
    if len({attribute for _, attribute, _ in relatives}) < len(relatives):
        raise errors.BadRequest(
            reason=f"Cannot use {' and '.join(name for name, _, _ in relatives)} query params at the same time.")
    return {"project": {**view, **{attribute: value for _, attribute, value in relatives}}}


def require_own(req: Request, project_id: str, rule: Rule) -> None:
    """Refuse those who have no role in the project, admins excepted, also where it does not exist: the answer must not reveal which do.

    :raises errors.PolicyForbids: the caller has none.
    """
    if req.ctxt.is_admin or project_id == req.ctxt.project_id:
        return
    if project_id not in {project.id for project in users.projects_of(req.db, req.ctxt.user_id)}:
        raise errors.PolicyForbids(rule=rule.name)


@route(
    "PATCH", "/projects/{project_id}", policy=Rule("identity:update_project", ADMIN), body={"2.0": UPDATE},
    response=closed(project=PROJECT),
)
def update(req: Request, body: Body, project_id: str) -> Body:
    """Change a project; the tokens of a disabled project's users end. Attributes that this service does not know are kept.

    200. 400: `domain_id` or `id` cannot change, or an option. 403: nor can `parent_id`. 404: no such project. 409: the name is in use in the domain.
    """
    project, params = users.get(req.db, users.Project, project_id, is_locked=True), body["project"]
    if params.get("domain_id") not in (None, project.domain_id):
        raise errors.InvalidField(field="project/domain_id", reason="cannot be changed")
    if params.get("parent_id") not in (None, project.domain_id):
        raise errors.Forbidden(reason="Update of `parent_id` is not allowed.")
    attributes.keep(project, params, _PROPERTIES, row_id=project.id)
    project.name = params.get("name", project.name)
    project.description = (params["description"] or "") if "description" in params else project.description
    if project.enabled and not params.get("enabled", True):
        users.revoke_by_assignments(req.db, project_id=project.id)
    project.enabled = params.get("enabled", project.enabled)
    users.flush_unique(req.db, project)
    if "tags" in params:
        project_tags.replace(req.db, project.id, params["tags"])
    return {"project": project_views(req, [project])[0]}


@route("DELETE", "/projects/{project_id}", policy=Rule("identity:delete_project", ADMIN), status=204)
def delete(req: Request, project_id: str) -> None:
    """Delete the project and its role assignments. 204. 404: no such project."""
    users.delete(req.db, users.get(req.db, users.Project, project_id))
