# SPDX-License-Identifier: Apache-2.0
"""/users and their passwords."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.identity import attributes
from nova_lite.api.identity.catalog import SELF, collection, listed
from nova_lite.api.identity.projects import PROJECT, enabled_filter, project_views, refuse_comparators
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, NULL, OBJECT, STRING, Field, Property, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, PUBLIC, Rule
from nova_lite.db.identity import application_credentials, passwords, users

_PASSWORD = {"type": ["string", "null"], "minLength": 1, "maxLength": 1024}
_PROPERTIES = {
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "email": {"type": ["string", "null"], "maxLength": 255},
    "description": {"type": ["string", "null"], "maxLength": 255},
    "enabled": {"type": "boolean"},
    "domain_id": {"type": ["string", "null"], "maxLength": 64},
    "default_project_id": {"type": ["string", "null"], "maxLength": 64},
    "password": _PASSWORD,
    "password_expires_at": {"type": "null"},
    "federated": {"type": "array", "maxItems": 0},
}
CREATE = attributes.body("user", _PROPERTIES, required=["name"])
UPDATE = attributes.body("user", _PROPERTIES)
# Passwords do not expire and users are not locked out, so it holds in any case what these say.
_OPTIONS = ("ignore_change_password_upon_first_use", "ignore_password_expiry", "ignore_lockout_failure_attempts", "ignore_user_inactivity")
CHANGE_PASSWORD = {
    "type": "object",
    "properties": {
        "user": {
            "type": "object",
            "properties": {
                "password": {"type": "string", "minLength": 1, "maxLength": 1024},
                "original_password": {"type": "string", "maxLength": 1024},
            },
            "required": ["password", "original_password"],
        }
    },
    "required": ["user"],
}
_GET = Rule("identity:get_user", ANYONE)
_GROUPS = Rule("identity:list_groups_for_user", ANYONE)
_PROJECTS = Rule("identity:list_user_projects", ANYONE)


FIELDS = (
    Field("id", lambda u: u.id, STRING),
    Field("name", lambda u: u.name, STRING),
    Field("domain_id", lambda u: u.domain_id, STRING),
    Field("enabled", lambda u: u.enabled, BOOLEAN),
    Field("description", lambda u: u.description, STRING),
    Field("password_expires_at", lambda _: None, NULL),
)
_USER = attributes.shown(
    *FIELDS, Property("options", OBJECT), Property("links", SELF), Property("email", STRING, is_optional=True),
    Property("default_project_id", STRING, is_optional=True))
# Filters on what no user here has: those of federated users and of passwords that expire.
_NOBODYS = ("idp_id", "protocol_id", "unique_id", "password_expires_at")


def user_view(req: Request, user: users.User) -> Body:
    """A user as Keystone shows it."""
    shown = {**attributes.show(req, FIELDS, user), "links": {"self": f"{req.base_url}/users/{user.id}"}}
    if user.email:
        shown["email"] = user.email
    if user.default_project_id:
        shown["default_project_id"] = user.default_project_id
    return shown


@route("GET", "/users", policy=Rule("identity:list_users", ADMIN), response=listed("users", _USER))
def index(req: Request) -> Body:
    """List users; `name`, `domain_id` and `enabled` filter. 200. 400: an inexact filter."""
    refuse_comparators(req)
    rows = [] if any(name in req.query for name in _NOBODYS) else users.find(
        req.db,
        users.User,
        name=req.query.get("name"),
        domain_id=req.query.get("domain_id"),
        is_enabled=enabled_filter(req),
    )
    return collection(req, "users", "/users", [user_view(req, user) for user in rows])


@route(
    "POST", "/users", policy=Rule("identity:create_user", ADMIN), status=201, body={"2.0": CREATE},
    response=closed(user=_USER),
)
def create(req: Request, body: Body) -> Body:
    """Create a user, who cannot log in without a password; attributes that this service does not know are kept.

    201. 400: an option that would have no effect, or an id. 404: no such domain. 409: the name is in use in the domain.
    """
    params = body["user"]
    # Before the first query: hashing must not hold the write lock of the transaction.
    password_hash = passwords.hash_password(params["password"]) if params.get("password") else ""
    domain = users.get(req.db, users.Domain, params.get("domain_id") or users.DEFAULT_DOMAIN)
    user = users.User(
        domain_id=domain.id,
        name=params["name"],
        email=params.get("email") or "",
        description=params.get("description") or "",
        enabled=params.get("enabled", True),
        default_project_id=params.get("default_project_id"),
        password_hash=password_hash,
    )
    attributes.keep(user, params, _PROPERTIES, options=_OPTIONS)
    return {"user": user_view(req, users.add(req.db, user))}


@route("GET", "/users/{user_id}", policy=_GET, response=closed(user=_USER))
def show(req: Request, user_id: str) -> Body:
    """Show one user: the caller, or any for an admin. 200. 403: another one. 404: no such user."""
    _require_self(req, user_id, _GET)
    return {"user": user_view(req, users.get(req.db, users.User, user_id))}


@route(
    "PATCH", "/users/{user_id}", policy=Rule("identity:update_user", ADMIN), body={"2.0": UPDATE},
    response=closed(user=_USER),
)
def update(req: Request, body: Body, user_id: str) -> Body:
    """Change a user; a new password invalidates the user's tokens, `enabled` false also deletes the application credentials.

    200. 400: `domain_id` and `id` cannot change, or an option that would have no effect. 404: no such user. 409: the name is in use in the domain.
    """
    params = body["user"]
    password_hash = passwords.hash_password(params["password"]) if params.get("password") else None
    user = users.get(req.db, users.User, user_id, is_locked=True)
    if params.get("domain_id") not in (None, user.domain_id):
        raise errors.InvalidField(field="user/domain_id", reason="cannot be changed")
    attributes.keep(user, params, _PROPERTIES, options=_OPTIONS, row_id=user.id)
    user.name = params.get("name", user.name)
    user.email = (params["email"] or "") if "email" in params else user.email
    user.description = (params["description"] or "") if "description" in params else user.description
    user.default_project_id = params.get("default_project_id", user.default_project_id)
    user.enabled = params.get("enabled", user.enabled)
    if password_hash:
        user.password_hash = password_hash  # invalidates the user's tokens: they have the old one's mark
    if not user.enabled:
        users.revoke_all(user)
        application_credentials.forget(req.db, user_id=user.id)
    users.flush_unique(req.db, user)
    return {"user": user_view(req, user)}


@route("DELETE", "/users/{user_id}", policy=Rule("identity:delete_user", ADMIN), status=204)
def delete(req: Request, user_id: str) -> None:
    """Delete the user and the user's role assignments. 204. 403: the caller. 404: no such user."""
    if user_id == req.ctxt.user_id:
        raise errors.Forbidden(reason="You cannot delete your own user: it may be the last admin.")
    users.delete(req.db, users.get(req.db, users.User, user_id))


@route("POST", "/users/{user_id}/password", policy=PUBLIC, status=204, body={"2.0": CHANGE_PASSWORD})
def change_password(req: Request, body: Body, user_id: str) -> None:
    """Change the user's password, which invalidates all the user's tokens; the original password is proof, no token is needed.

    204. 401: wrong original password, a disabled user or none; the answer is the same.
    """
    params = body["user"]
    with req.database.reader() as session:
        known = users.login_candidate(session, user_id=user_id, name=None, domain_id=None, domain_name=None)
    is_verified = passwords.verify(params["original_password"], known.password_hash if known else None)
    if known is None or not is_verified or not known.enabled:
        raise errors.Unauthorized("The original password is wrong.")
    new_hash = passwords.hash_password(params["password"])
    user = users.get(req.db, users.User, user_id, is_locked=True)
    if user.password_hash != known.password_hash:
        raise errors.Unauthorized("The original password is wrong.")  # it was changed meanwhile
    user.password_hash = new_hash


@route("GET", "/users/{user_id}/projects", policy=_PROJECTS, response=listed("projects", PROJECT))
def list_projects(req: Request, user_id: str) -> Body:
    """List the projects in which the user has a role: of the caller, or of any user for an admin. 200. 403: another user's."""
    _require_self(req, user_id, _PROJECTS)
    items = project_views(req, users.projects_of(req.db, user_id))
    return collection(req, "projects", f"/users/{user_id}/projects", items)


@route("GET", "/users/{user_id}/groups", policy=_GROUPS, response=listed("groups", OBJECT))
def list_groups(req: Request, user_id: str) -> Body:
    """List the user's groups: of the caller, or of any user for an admin. 200 with an empty list: there are no groups. 403: another user's."""
    _require_self(req, user_id, _GROUPS)
    return collection(req, "groups", f"/users/{user_id}/groups", [])


@route("GET", "/groups", policy=Rule("identity:list_groups", ADMIN), response=listed("groups", OBJECT))
def index_groups(req: Request) -> Body:
    """List groups. 200 with an empty list: there are none."""
    return collection(req, "groups", "/groups", [])


def _require_self(req: Request, user_id: str, rule: Rule) -> None:
    """:raises errors.PolicyForbids: the caller is neither that user nor an admin; also for unknown users."""
    if user_id != req.ctxt.user_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)
