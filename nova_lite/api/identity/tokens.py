# SPDX-License-Identifier: Apache-2.0
"""/auth/tokens: issues, validates and revokes tokens; /auth/projects and /auth/domains."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from nova_lite import context, errors
from nova_lite.api.identity import application_credentials
from nova_lite.api.identity.catalog import CATALOG, catalog, collection, listed
from nova_lite.api.identity.projects import PROJECT, project_views
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import BOOLEAN, EMPTY_LIST, NULL, STRING, TIME, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, PUBLIC, Rule
from nova_lite.db.identity import passwords, token_owners, users
from nova_lite.db.identity.application_credentials import ApplicationCredential
from nova_lite.runtime import tokens

_NAME = {"type": "string", "minLength": 1, "maxLength": 255}
_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_DOMAIN = {"type": "object", "properties": {"id": _ID, "name": _NAME}}
_USER = {
    "type": "object",
    "properties": {
        "id": _ID,
        "name": _NAME,
        "domain": _DOMAIN,
        "password": {"type": "string", "maxLength": 1024},
    },
    "required": ["password"],
}
_IDENTITY = {
    "type": "object",
    "properties": {
        "methods": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "password": {"type": "object", "properties": {"user": _USER}, "required": ["user"]},
        "token": {
            "type": "object",
            "properties": {"id": {"type": "string", "maxLength": 4096}},
            "required": ["id"],
        },
        "application_credential": application_credentials.LOGIN,
    },
    "required": ["methods"],
}
_SCOPE = {
    "type": "object",
    "properties": {
        "project": {"type": "object", "properties": {"id": _ID, "name": _NAME, "domain": _DOMAIN}},
        "domain": {"type": "object"},
        "system": {"type": "object"},
    },
}
CREATE = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {"identity": _IDENTITY, "scope": {"anyOf": [_SCOPE, {"enum": ["unscoped"]}]}},
            "required": ["identity"],
        }
    },
    "required": ["auth"],
}
_VALIDATE = Rule("identity:validate_token", ANYONE)
_REVOKE = Rule("identity:revoke_token", ANYONE)
_NAMED = closed(id=STRING, name=STRING)
# A token without a scope has no project, roles and catalog.
_TOKEN = closed(token=closed(
    {"project": closed(id=STRING, name=STRING, domain=_NAMED), "is_domain": {"const": False}, "roles": many(_NAMED),
     "catalog": CATALOG, "application_credential": closed(id=STRING, name=STRING, restricted=BOOLEAN)},
    methods=many(STRING), user=closed(id=STRING, name=STRING, domain=_NAMED, password_expires_at=NULL),
    audit_ids=many(STRING), issued_at=TIME, expires_at=TIME))


@dataclasses.dataclass(frozen=True)
class _Authenticated:
    """The user who was authenticated, and by which methods; `parent`, `credential`: the token or application credential used for it.

    Of a token that was issued for an application credential both are set.
    """

    user: users.User
    methods: tuple[str, ...]
    parent: tokens.Token | None = None
    credential: ApplicationCredential | None = None


@route("POST", "/auth/tokens", policy=PUBLIC, status=201, body={"2.0": CREATE}, response=_TOKEN)
def create(req: Request, body: Body) -> Reply:
    """Issue a token for a password, an application credential or another token, with the requested scope; it is in header X-Subject-Token.

    201 with the token's user, project, roles and catalog. 400: an incomplete user or project. 401: wrong credentials, a
    disabled user, no role in the project, or another project than the application credential's; the answer is the same
    for unknown users.

    Reads only, and through a reader: hashing must not hold the write lock of a transaction.
    """
    auth = body["auth"]
    authenticated = _authenticate(req, auth["identity"])
    credential = authenticated.credential
    project_id = _scope(req, authenticated, auth.get("scope"))
    secret_hash = credential.secret_hash if credential else authenticated.user.password_hash
    text, token = tokens.open_tokens(req.conf).issue(
        authenticated.user.id,
        project_id=project_id,
        methods=authenticated.methods,
        # Of the hash that was verified: a password that changes meanwhile invalidates this token too.
        password_mark=passwords.mark(secret_hash),
        parent=authenticated.parent,
        credential_id=credential.id if credential else "",
        expires_by=credential.expires_at.replace(tzinfo=datetime.UTC).timestamp() if credential and credential.expires_at else None,
    )
    try:
        view = _token_view(req, token)
    except errors.InvalidToken as error:
        raise errors.Unauthorized(f"User {authenticated.user.id} cannot log in to project {project_id}.") from error
    return Reply(view, headers={"X-Subject-Token": text, "Vary": "X-Auth-Token"})


@route("GET", "/auth/tokens", policy=_VALIDATE, response=_TOKEN)
def show(req: Request) -> Reply:
    """Validate and show the token in X-Subject-Token; HEAD validates only.

    200. 400: no X-Subject-Token. 403: another user's, by a caller who is neither admin nor service. 404: not a valid token.
    """
    text, token = _subject(req)
    return Reply(_token_view(req, token), headers={"X-Subject-Token": text, "Vary": "X-Auth-Token"})


@route("DELETE", "/auth/tokens", policy=_REVOKE, status=204)
def delete(req: Request) -> None:
    """Revoke the token in X-Subject-Token; all API processes refuse it within `[identity] token_cache_time`.

    204. 400, 404: as for its validation. 403: another user's, by a caller who is no admin: a service may only validate it.
    """
    _, token = _subject(req)
    if token.user_id != req.ctxt.user_id and context.ADMIN not in req.ctxt.roles:
        raise errors.PolicyForbids(rule=_REVOKE.name)
    token_owners.revoke(req.db, audit_id=token.audit_ids[0], expires_at=_naive(token.expires_at), user_id=token.user_id)


@route("GET", "/auth/projects", policy=Rule("identity:get_auth_projects", ANYONE), response=listed("projects", PROJECT))
def list_projects(req: Request) -> Body:
    """List the projects that the caller may scope a token to. 200."""
    items = project_views(req, users.projects_of(req.db, req.ctxt.user_id))
    return collection(req, "projects", "/auth/projects", items)


@route(
    "GET", "/auth/domains", policy=Rule("identity:get_auth_domains", ANYONE),
    response=closed(links=closed(next=NULL, previous=NULL, self=STRING), domains=EMPTY_LIST),
)
def list_domains(req: Request) -> Body:
    """List the domains that the caller may scope a token to. 200 with an empty list: roles are assigned in projects."""
    return collection(req, "domains", "/auth/domains", [])


@route("GET", "/auth/system", policy=Rule("identity:get_auth_system", ANYONE), response=closed(system=EMPTY_LIST))
def show_system(_req: Request) -> Body:
    """List what of the system the caller may scope a token to. 200 with an empty list: roles are assigned in projects."""
    return {"system": []}


def _authenticate(req: Request, identity: Body) -> _Authenticated:
    methods = identity["methods"]
    if methods == ["password"] and "password" in identity:
        return _Authenticated(_by_password(req, identity["password"]["user"]), ("password",))
    if methods == ["token"] and "token" in identity:
        parent = tokens.open_tokens(req.conf).read(identity["token"]["id"])
        if parent.grant is not None:
            raise errors.Unauthorized()
        methods = tuple(dict.fromkeys((*parent.methods, "token")))
        holder = _holder(req, parent)
        return _Authenticated(holder.user, methods, parent, holder.credential)
    if methods == ["application_credential"] and "application_credential" in identity:
        user, credential = application_credentials.authenticate(req, identity["application_credential"])
        return _Authenticated(user, ("application_credential",), credential=credential)
    raise errors.Unauthorized("Only the methods password, token and application_credential are supported.")


def _by_password(req: Request, params: Body) -> users.User:
    user_id, name, domain = params.get("id"), params.get("name"), params.get("domain", {})
    if user_id is None and (name is None or not domain):
        raise errors.InvalidField(field="auth/identity/password/user", reason="needs id, or name and domain")
    with req.database.reader() as session:
        user = users.login_candidate(
            session, user_id=user_id, name=name, domain_id=domain.get("id"), domain_name=domain.get("name")
        )
    is_verified = passwords.verify(params["password"], user.password_hash if user else None)
    if user is None or not is_verified or not user.enabled:
        raise errors.Unauthorized()
    return user


def _scope(req: Request, authenticated: _Authenticated, scope: Any) -> str:  # an object or a string
    """The id of the requested project; "": unscoped. Without a scope: the user's default project, if the user has a role there.

    An application credential is for its project, and may name no other.
    """
    if authenticated.credential is None:
        return _requested_project(req, authenticated.user, scope)
    project_id = authenticated.credential.project_id
    if scope is not None and _requested_project(req, authenticated.user, scope) != project_id:
        raise errors.Unauthorized("Application credentials cannot request a scope.")
    return project_id


def _requested_project(req: Request, user: users.User, scope: Any) -> str:  # an object or a string
    if scope == "unscoped":
        return ""
    with req.database.reader() as session:
        if scope is None:
            allowed = {project.id for project in users.projects_of(session, user.id)}
            return user.default_project_id if user.default_project_id in allowed else ""
        params = scope.get("project")
        if params is None:
            raise errors.Unauthorized("Roles are assigned in projects: only the scope of a project is supported.")
        if params.get("id"):
            return str(params["id"])
        domain = params.get("domain", {})
        if not params.get("name") or not domain:
            raise errors.InvalidField(field="auth/scope/project", reason="needs id, or name and domain")
        project = users.project_by_name(
            session, params["name"], domain_id=domain.get("id"), domain_name=domain.get("name")
        )
    if project is None:
        raise errors.Unauthorized(f"User {user.id} cannot log in to project {params['name']}.")
    return project.id


def _subject(req: Request) -> tuple[str, tokens.Token]:
    """The token in X-Subject-Token, if it is the caller's, or the caller is an admin or a service.

    :raises errors.NotFound: not a valid token. :raises errors.PolicyForbids: another user's.
    """
    text = req.http.headers.get("X-Subject-Token", "")
    if not text:
        raise errors.BadRequest(reason="Header X-Subject-Token is missing")
    try:
        token = tokens.open_tokens(req.conf).read(text)
        if token.grant is not None:
            raise errors.InvalidToken(reason="it is a host's token for an image")
        _holder(req, token)
    except errors.InvalidToken as error:
        raise errors.NotFound(f"Could not find token: {error.text}") from None
    if token.user_id != req.ctxt.user_id and not {context.ADMIN, context.SERVICE} & req.ctxt.roles:
        raise errors.PolicyForbids(rule=_VALIDATE.name)
    return text, token


def _holder(req: Request, token: tokens.Token) -> token_owners.TokenOwner:
    with req.database.reader() as session:
        return token_owners.token_owner(
            session,
            user_id=token.user_id,
            project_id=token.project_id,
            audit_id=token.audit_ids[0],
            issued_at=_naive(token.issued_at),
            password_mark=token.password_mark,
            credential_id=token.credential_id,
        )


def _token_view(req: Request, token: tokens.Token) -> Body:
    """A token as Keystone shows it; roles include implied ones."""
    holder = _holder(req, token)
    domain = {"id": holder.domain.id, "name": holder.domain.name}
    view: Body = {
        "methods": list(token.methods),
        "user": {"id": holder.user.id, "name": holder.user.name, "domain": domain, "password_expires_at": None},
        "audit_ids": list(token.audit_ids),
        "issued_at": _iso(token.issued_at),
        "expires_at": _iso(token.expires_at),
    }
    if holder.credential is not None:
        view["application_credential"] = {
            "id": holder.credential.id, "name": holder.credential.name, "restricted": not holder.credential.unrestricted}
    if holder.project is not None:
        with req.database.reader() as session:
            names = context.limit_roles(holder.roles, holder.limited_to)
            roles = [role for role in users.find(session, users.Role) if role.name in names]
        view["project"] = {"id": holder.project.id, "name": holder.project.name, "domain": domain}
        view["is_domain"] = False
        view["roles"] = [{"id": role.id, "name": role.name} for role in roles]
        if "nocatalog" not in req.query:
            view["catalog"] = catalog(req, holder.project.id)
    return {"token": view}


def _naive(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


def _iso(seconds: float) -> str:
    return _naive(seconds).isoformat(timespec="microseconds") + "Z"
