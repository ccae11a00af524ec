# SPDX-License-Identifier: Apache-2.0
"""Logging in: tokens for passwords and for other tokens, and what a token says."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from nova_lite import context, errors
from nova_lite.api.identity.catalog import catalog, collection
from nova_lite.api.identity.projects import project_view
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, PUBLIC, Rule
from nova_lite.db.identity import passwords, users
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


@dataclasses.dataclass(frozen=True)
class _Proven:
    """Who has proved to be whom, by what; `parent`: the token that did."""

    user: users.User
    methods: tuple[str, ...]
    parent: tokens.Token | None = None


@route("POST", "/auth/tokens", policy=PUBLIC, status=201, body={"2.0": CREATE})
def create(req: Request, body: Body) -> Reply:
    """Log in; the token is in header X-Subject-Token.

    Reads only, and through a reader: hashing may not hold the write lock of a transaction.
    :raises errors.Unauthorized: whatever is wrong with who or what; no answer tells users from strangers.
    """
    auth = body["auth"]
    proven = _prove(req, auth["identity"])
    project_id = _scope(req, proven.user, auth.get("scope"))
    text, token = tokens.open_tokens(req.conf).mint(
        proven.user.id,
        project_id=project_id,
        methods=proven.methods,
        # Of the hash that was checked: a password that changes meanwhile ends this token too.
        password_mark=passwords.mark(proven.user.password_hash),
        parent=proven.parent,
    )
    try:
        answer = _token_view(req, token)
    except errors.InvalidToken as wrong:
        raise errors.Unauthorized(f"User {proven.user.id} cannot log in to project {project_id}.") from wrong
    return Reply(answer, headers={"X-Subject-Token": text, "Vary": "X-Auth-Token"})


@route("GET", "/auth/tokens", policy=_VALIDATE)
def show(req: Request) -> Reply:
    """What the token in X-Subject-Token says; HEAD: whether it is valid."""
    text, token = _subject(req)
    return Reply(_token_view(req, token), headers={"X-Subject-Token": text, "Vary": "X-Auth-Token"})


@route("DELETE", "/auth/tokens", policy=Rule("identity:revoke_token", ANYONE), status=204)
def delete(req: Request) -> None:
    """End the token in X-Subject-Token; all APIs refuse it within `[identity] token_cache_time`."""
    _, token = _subject(req)
    users.revoke(req.db, audit_id=token.audit_ids[0], expires_at=_naive(token.expires_at))


@route("GET", "/auth/projects", policy=Rule("identity:get_auth_projects", ANYONE))
def list_projects(req: Request) -> Body:
    """The projects that the caller may scope a token to."""
    items = [project_view(req, project) for project in users.projects_of(req.db, req.ctxt.user_id)]
    return collection(req, "projects", "/auth/projects", items)


@route("GET", "/auth/domains", policy=Rule("identity:get_auth_domains", ANYONE))
def list_domains(req: Request) -> Body:
    """The domains that the caller may scope a token to: none, roles are held in projects."""
    return collection(req, "domains", "/auth/domains", [])


def _prove(req: Request, identity: Body) -> _Proven:
    methods = identity["methods"]
    if methods == ["password"] and "password" in identity:
        return _Proven(_by_password(req, identity["password"]["user"]), ("password",))
    if methods == ["token"] and "token" in identity:
        parent = tokens.open_tokens(req.conf).read(identity["token"]["id"])
        if parent.is_service:
            raise errors.Unauthorized()
        methods = tuple(dict.fromkeys((*parent.methods, "token")))
        return _Proven(_holder(req, parent).user, methods, parent)
    raise errors.Unauthorized("Log in with one of the methods password and token; others are not offered here.")


def _by_password(req: Request, asked: Body) -> users.User:
    user_id, name, domain = asked.get("id"), asked.get("name"), asked.get("domain", {})
    if user_id is None and (name is None or not domain):
        raise errors.InvalidField(field="auth/identity/password/user", reason="needs id, or name and domain")
    with req.database.reader() as session:
        user = users.login_candidate(
            session, user_id=user_id, name=name, domain_id=domain.get("id"), domain_name=domain.get("name")
        )
    is_right = passwords.verify(asked["password"], user.password_hash if user else None)
    if user is None or not is_right or not user.enabled:
        raise errors.Unauthorized()
    return user


def _scope(req: Request, user: users.User, scope: Any) -> str:  # noqa: ANN401 - an object or one word
    """The id of the project asked for; "": unscoped. Without a scope: the user's own project, if he may."""
    if scope == "unscoped":
        return ""
    with req.database.reader() as session:
        if scope is None:
            may = {project.id for project in users.projects_of(session, user.id)}
            return user.default_project_id if user.default_project_id in may else ""
        asked = scope.get("project")
        if asked is None:
            raise errors.Unauthorized("Roles are held in projects: ask for a token with the scope of a project.")
        if asked.get("id"):
            return str(asked["id"])
        domain = asked.get("domain", {})
        if not asked.get("name") or not domain:
            raise errors.InvalidField(field="auth/scope/project", reason="needs id, or name and domain")
        project = users.project_by_name(
            session, asked["name"], domain_id=domain.get("id"), domain_name=domain.get("name")
        )
    if project is None:
        raise errors.Unauthorized(f"User {user.id} cannot log in to project {asked['name']}.")
    return project.id


def _subject(req: Request) -> tuple[str, tokens.Token]:
    """The token in X-Subject-Token, if the caller may ask about it: his own, or he is an admin or a service.

    :raises errors.NotFound: it is not a valid token.
    """
    text = req.http.headers.get("X-Subject-Token", "")
    if not text:
        raise errors.BadRequest(reason="Header X-Subject-Token is missing")
    try:
        token = tokens.open_tokens(req.conf).read(text)
        if token.is_service:
            raise errors.InvalidToken(reason="it is the service's own")
        _holder(req, token)
    except errors.InvalidToken as wrong:
        raise errors.NotFound(f"Could not find token: {wrong.text}") from None
    if token.user_id != req.ctxt.user_id and not {context.ADMIN, context.SERVICE} & req.ctxt.roles:
        raise errors.PolicyForbids(rule=_VALIDATE.name)
    return text, token


def _holder(req: Request, token: tokens.Token) -> users.Holder:
    with req.database.reader() as session:
        return users.holder(
            session,
            user_id=token.user_id,
            project_id=token.project_id,
            audit_id=token.audit_ids[0],
            issued_at=_naive(token.issued_at),
            password_mark=token.password_mark,
        )


def _token_view(req: Request, token: tokens.Token) -> Body:
    """Keystone's token document; roles include implied ones."""
    held = _holder(req, token)
    domain = {"id": held.domain.id, "name": held.domain.name}
    shown: Body = {
        "methods": list(token.methods),
        "user": {"id": held.user.id, "name": held.user.name, "domain": domain, "password_expires_at": None},
        "audit_ids": list(token.audit_ids),
        "issued_at": _iso(token.issued_at),
        "expires_at": _iso(token.expires_at),
    }
    if held.project is not None:
        with req.database.reader() as session:
            names = context.expand_roles(held.roles)
            roles = [role for role in users.find(session, users.Role) if role.name in names]
        shown["project"] = {"id": held.project.id, "name": held.project.name, "domain": domain}
        shown["is_domain"] = False
        shown["roles"] = [{"id": role.id, "name": role.name} for role in roles]
        if "nocatalog" not in req.query:
            shown["catalog"] = catalog(req)
    return {"token": shown}


def _naive(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


def _iso(seconds: float) -> str:
    return _naive(seconds).isoformat(timespec="microseconds") + "Z"
