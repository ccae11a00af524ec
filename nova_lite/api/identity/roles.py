# SPDX-License-Identifier: Apache-2.0
"""/roles and role assignments: the roles that users have in projects."""

from __future__ import annotations

from nova_lite import context, errors
from nova_lite.api.identity import attributes
from nova_lite.api.identity.catalog import SELF, collection, listed
from nova_lite.api.identity.projects import refuse_comparators
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import NULL, OBJECT, STRING, STRING_OR_NULL, Field, Property, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.identity import users

_GRANT = "/projects/{project_id}/users/{user_id}/roles/{role_id}"
_LIST_ASSIGNMENTS = Rule("identity:list_role_assignments", ANYONE)
_PROPERTIES = {
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": {"type": ["string", "null"], "maxLength": 255},
    "domain_id": {"type": "null"},
}
CREATE = attributes.body("role", _PROPERTIES, required=["name"])
UPDATE = attributes.body("role", _PROPERTIES)


FIELDS = (
    Field("id", lambda r: r.id, STRING),
    Field("name", lambda r: r.name, STRING),
    Field("description", lambda r: r.description or None, STRING_OR_NULL),
    Field("domain_id", lambda _: None, NULL),
)
_ROLE = attributes.shown(*FIELDS, Property("options", OBJECT), Property("links", SELF))
_INFERRED = closed(id=STRING, name=STRING, links=SELF)
_DOMAIN = closed(id=STRING, name=STRING)
# `name` and `domain` with include_names only.
_ASSIGNMENT = closed(
    role=closed({"name": STRING}, id=STRING), user=closed({"name": STRING, "domain": _DOMAIN}, id=STRING),
    scope=closed(project=closed({"name": STRING, "domain": _DOMAIN}, id=STRING)), links=closed(assignment=STRING))


_Assignment = tuple[users.User, users.Project, users.Role]


def role_view(req: Request, role: users.Role) -> Body:
    """A role as Keystone shows it."""
    return {**attributes.show(req, FIELDS, role), "links": {"self": f"{req.base_url}/roles/{role.id}"}}


@route("GET", "/roles", policy=Rule("identity:list_roles", ADMIN), response=listed("roles", _ROLE))
def index(req: Request) -> Body:
    """List roles; `name` and `domain_id` filter, of which no role has one. 200. 400: an inexact filter."""
    refuse_comparators(req)
    rows = [] if req.query.get("domain_id") else users.find(req.db, users.Role, name=req.query.get("name"))
    return collection(req, "roles", "/roles", [role_view(req, role) for role in rows])


@route(
    "POST", "/roles", policy=Rule("identity:create_role", ADMIN), status=201, body={"2.0": CREATE},
    response=closed(role=_ROLE),
)
def create(req: Request, body: Body) -> Body:
    """Create a role, for use in policy files. 201. 400: an option, or an id. 409: the name is in use."""
    params = body["role"]
    role = users.Role(name=params["name"], description=params.get("description") or "")
    attributes.keep(role, params, _PROPERTIES)
    return {"role": role_view(req, users.add(req.db, role))}


@route("GET", "/roles/{role_id}", policy=Rule("identity:get_role", ADMIN), response=closed(role=_ROLE))
def show(req: Request, role_id: str) -> Body:
    """Show one role. 200. 404: no such role."""
    return {"role": role_view(req, users.get(req.db, users.Role, role_id))}


@route(
    "PATCH", "/roles/{role_id}", policy=Rule("identity:update_role", ADMIN), body={"2.0": UPDATE},
    response=closed(role=_ROLE),
)
def update(req: Request, body: Body, role_id: str) -> Body:
    """Change a role's name, description or further attributes. 200. 400: an option. 403: a built-in role. 404: no such role. 409: the name is in use."""
    role, params = _changeable(req, role_id), body["role"]
    attributes.keep(role, params, _PROPERTIES, row_id=role.id)
    role.name = params.get("name", role.name)
    role.description = (params["description"] or "") if "description" in params else role.description
    users.flush_unique(req.db, role)
    return {"role": role_view(req, role)}


@route("DELETE", "/roles/{role_id}", policy=Rule("identity:delete_role", ADMIN), status=204)
def delete(req: Request, role_id: str) -> None:
    """Delete the role and its assignments; the tokens of its users end. 204. 403: a built-in role. 404: no such role."""
    role = _changeable(req, role_id)
    users.revoke_by_assignments(req.db, role_id=role.id)
    users.delete(req.db, role)


@route("GET", "/role_inferences", policy=Rule("identity:list_role_inference_rules", ADMIN),
       response=closed(role_inferences=many(closed(prior_role=_INFERRED, implies=many(_INFERRED))), links=SELF))
def list_inferences(req: Request) -> Body:
    """List which roles imply which others. 200."""
    roles = {role.name: {"id": role.id, "name": role.name, "links": role_view(req, role)["links"]} for role in users.find(req.db, users.Role)}
    return {
        "role_inferences": [{"prior_role": roles[name], "implies": [roles[one] for one in implied if one in roles]}
                            for name, implied in context.IMPLIED_ROLES.items() if name in roles],
        "links": {"self": f"{req.base_url}/role_inferences"}}


@route("PUT", _GRANT, policy=Rule("identity:create_grant", ADMIN), status=204)
def grant(req: Request, project_id: str, user_id: str, role_id: str) -> None:
    """Assign the role to the user in the project; idempotent. 204. 404: no such user, project or role."""
    users.assign(req.db, user_id=user_id, project_id=project_id, role_id=role_id)


@route("GET", _GRANT, policy=Rule("identity:check_grant", ADMIN), status=204)
def check(req: Request, project_id: str, user_id: str, role_id: str) -> None:
    """Check whether the user has the role in the project; HEAD too. 204: yes. 404: no."""
    if not users.assignments(req.db, user_id=user_id, project_id=project_id, role_id=role_id):
        raise errors.NotFound(what="Role assignment", id=f"{role_id} of user {user_id} in project {project_id}")


@route("DELETE", _GRANT, policy=Rule("identity:revoke_grant", ADMIN), status=204)
def revoke(req: Request, project_id: str, user_id: str, role_id: str) -> None:
    """Remove the role in the project from the user, whose tokens end within `[identity] token_cache_time`.

    204. 404: the user has not the role there.
    """
    users.unassign(req.db, user_id=user_id, project_id=project_id, role_id=role_id)


@route(
    "GET", "/projects/{project_id}/users/{user_id}/roles", policy=Rule("identity:list_grants", ADMIN),
    response=listed("roles", _ROLE),
)
def list_grants(req: Request, project_id: str, user_id: str) -> Body:
    """List the roles that the user has in the project. 200. 404: no such user or project."""
    users.get(req.db, users.User, user_id)
    users.get(req.db, users.Project, project_id)
    rows = users.assignments(req.db, user_id=user_id, project_id=project_id)
    items = [role_view(req, role) for _, _, role in rows]
    return collection(req, "roles", f"/projects/{project_id}/users/{user_id}/roles", items)


@route("GET", "/role_assignments", policy=_LIST_ASSIGNMENTS, response=listed("role_assignments", _ASSIGNMENT))
def list_assignments(req: Request) -> Body:
    """List role assignments; `user.id`, `scope.project.id` and `role.id` filter, `include_names` adds names, `effective` implied roles.

    200. 403: another user's than the caller's, or no `user.id`, by a caller who is no admin.
    """
    query = req.query
    user_id = query.get("user.id")
    if not req.ctxt.is_admin and user_id != req.ctxt.user_id:
        raise errors.PolicyForbids(rule=_LIST_ASSIGNMENTS.name)
    has_other_scope = any(
        name in query for name in ("scope.system", "scope.domain.id", "group.id", "scope.OS-INHERIT:inherited_to"))
    rows = [] if has_other_scope else users.assignments(
        req.db, user_id=user_id, project_id=query.get("scope.project.id"))
    if _is_set(req, "effective"):
        rows = _effective(req, rows)
    rows = [row for row in rows if query.get("role.id") in (None, row[2].id)]
    has_names = _is_set(req, "include_names")
    items = [_assignment_view(req, *row, has_names=has_names) for row in rows]
    return collection(req, "role_assignments", "/role_assignments", items)


def _is_set(req: Request, name: str) -> bool:
    """As in Keystone, also without a value."""
    return str(req.query.get(name, "false")).lower() not in ("0", "false")


def _effective(req: Request, rows: list[_Assignment]) -> list[_Assignment]:
    """The assignments with the roles that they imply, each once."""
    roles = {role.name: role for role in users.find(req.db, users.Role)}
    found = {(user.id, project.id, name): (user, project, roles[name])
             for user, project, role in rows for name in sorted(context.expand_roles({role.name})) if name in roles}
    return list(found.values())


def _assignment_view(
    req: Request, user: users.User, project: users.Project, role: users.Role, *, has_names: bool
) -> Body:
    domain = {"id": users.DEFAULT_DOMAIN, "name": "Default"}
    path = _GRANT.format(project_id=project.id, user_id=user.id, role_id=role.id)
    return {
        "role": {"id": role.id, **({"name": role.name} if has_names else {})},
        "user": {"id": user.id, **({"name": user.name, "domain": domain} if has_names else {})},
        "scope": {"project": {"id": project.id, **({"name": project.name, "domain": domain} if has_names else {})}},
        "links": {"assignment": f"{req.base_url}{path}"},
    }


def _changeable(req: Request, role_id: str) -> users.Role:
    role = users.get(req.db, users.Role, role_id)
    if role.name in users.ROLES:
        raise errors.Forbidden(reason=f"Role {role.name} is built in and cannot be changed or deleted.")
    return role
