# SPDX-License-Identifier: Apache-2.0
"""/users/{user_id}/application_credentials, and logins with them."""

from __future__ import annotations

import datetime
import secrets
from typing import Any

from nova_lite import errors
from nova_lite.api.identity.catalog import SELF, collection, listed
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, EMPTY_LIST, NULL, STRING, TIME_OR_NULL, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule
from nova_lite.api.wsgi.validation import moment
from nova_lite.db.base import utcnow
from nova_lite.db.identity import application_credentials, passwords, users
from nova_lite.db.identity.application_credentials import ApplicationCredential
from nova_lite.runtime import tokens

_ALL, _ONE = "/users/{user_id}/application_credentials", "/users/{user_id}/application_credentials/{credential_id}"
_CREATE = Rule("identity:create_application_credential", ANYONE)
_LIST = Rule("identity:list_application_credentials", ANYONE)
_GET = Rule("identity:get_application_credential", ANYONE)
_DELETE = Rule("identity:delete_application_credential", ANYONE)
_LIST_RULES = Rule("identity:list_access_rules", ANYONE)
_NAME = {"type": "string", "minLength": 1, "maxLength": 255}
_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_DOMAIN = {"type": "object", "properties": {"id": _ID, "name": _NAME}}
_ROLE = {"type": "object", "properties": {"id": _ID, "name": _NAME, "domain": _DOMAIN, "domain_id": {"type": "null"}},
         "minProperties": 1, "additionalProperties": False}
# In POST /auth/tokens.
LOGIN = {
    "type": "object",
    "properties": {"id": _ID, "name": _NAME, "secret": {"type": "string", "maxLength": 1024},
                   "user": {"type": "object", "properties": {"id": _ID, "name": _NAME, "domain": _DOMAIN}}},
    "required": ["secret"],
}
CREATE = {
    "type": "object",
    "properties": {"application_credential": {
        "type": "object",
        "properties": {
            "name": _NAME, "description": {"type": ["string", "null"], "maxLength": 1024},
            "secret": {"type": ["string", "null"], "minLength": 1, "maxLength": 1024},
            "expires_at": {"type": ["string", "null"], "maxLength": 64},
            "roles": {"type": ["array", "null"], "items": _ROLE, "maxItems": 64},
            "unrestricted": {"type": ["boolean", "null"]},
            "access_rules": {"type": ["array", "null"], "items": {"type": "object"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }},
    "required": ["application_credential"],
}
_FIELDS: dict[str, Any] = {
    "id": STRING, "name": STRING, "description": STRING, "project_id": STRING, "user_id": STRING, "system": NULL,
    "roles": many(closed(id=STRING, name=STRING, domain_id=NULL)), "expires_at": TIME_OR_NULL, "unrestricted": BOOLEAN, "links": SELF}
_CREDENTIAL = closed(**_FIELDS)


@route("POST", _ALL, policy=_CREATE, status=201, body={"2.0": CREATE},
       response=closed(application_credential=closed(secret=STRING, **_FIELDS)))
def create(req: Request, user_id: str, body: Body) -> Body:
    """Create an application credential of the caller for the token's project; its secret is shown this once.

    201. 400: a role that the caller's token does not have, a time in the past, access rules, or a token without a project. 403:
    another user's, the token of a restricted application credential, or `[identity] application_credentials_per_user` exceeded.
    409: the name is in use.
    """
    if user_id != req.ctxt.user_id:
        raise errors.PolicyForbids(rule=_CREATE.name)
    params = body["application_credential"]
    if params.get("access_rules"):
        raise errors.InvalidField(field="application_credential/access_rules", reason="Access rules are not supported by this cloud.")
    if not req.ctxt.project_id:
        raise errors.BadRequest(reason="Invalid application credential: it is for the token's project, and this token has none.")
    secret = params.get("secret") or secrets.token_urlsafe(64)
    # Before the first query: hashing must not hold the write lock of the transaction.
    secret_hash = passwords.hash_password(secret)
    _refuse_restricted(req)
    users.get(req.db, users.User, user_id, is_locked=True)
    roles = _roles(req, params.get("roles"))
    credential = ApplicationCredential(
        id=secrets.token_hex(16), user_id=user_id, project_id=req.ctxt.project_id, name=params["name"],
        description=params.get("description") or "", secret_hash=secret_hash, expires_at=_expiry(params.get("expires_at")),
        unrestricted=bool(params.get("unrestricted")))
    application_credentials.create(
        req.db, credential, role_ids=[role.id for role in roles], limit=int(req.conf.identity.application_credentials_per_user))
    return {"application_credential": {**_views(req, [credential])[0], "secret": secret}}


@route("GET", _ALL, policy=_LIST, response=listed("application_credentials", _CREDENTIAL))
def index(req: Request, user_id: str) -> Body:
    """List the application credentials of the caller, or of any user for an admin; `name` filters. 200. 403: another user's."""
    _require_self(req, user_id, _LIST)
    rows = application_credentials.find(req.db, user_id=user_id, name=req.query.get("name"))
    return collection(req, "application_credentials", f"/users/{user_id}/application_credentials", _views(req, rows))


@route("GET", _ONE, policy=_GET, response=closed(application_credential=_CREDENTIAL))
def show(req: Request, user_id: str, credential_id: str) -> Body:
    """Show one, without its secret. 200. 403: another user's, by a caller who is no admin. 404: the user has no such one."""
    _require_self(req, user_id, _GET)
    return {"application_credential": _views(req, [application_credentials.get(req.db, credential_id, user_id=user_id)])[0]}


@route("DELETE", _ONE, policy=_DELETE, status=204)
def delete(req: Request, user_id: str, credential_id: str) -> None:
    """Delete one; its tokens end within `[identity] token_cache_time`.

    204. 403: another user's, by a caller who is no admin, or the token of a restricted application credential. 404: the user has no such one.
    """
    _require_self(req, user_id, _DELETE)
    _refuse_restricted(req)
    req.db.delete(application_credentials.get(req.db, credential_id, user_id=user_id))


@route("GET", "/users/{user_id}/access_rules", policy=_LIST_RULES,
       response=closed(access_rules=EMPTY_LIST, links=closed(next=NULL, previous=NULL, self=STRING)))
def list_access_rules(req: Request, user_id: str) -> Body:
    """List the access rules of the user's application credentials. 200 with an empty list: they are not supported. 403: another user's."""
    _require_self(req, user_id, _LIST_RULES)
    return collection(req, "access_rules", f"/users/{user_id}/access_rules", [])


def authenticate(req: Request, params: Body) -> tuple[users.User, ApplicationCredential]:
    """The user and the application credential of a login, by its id, or by its name and the user.

    :raises errors.Unauthorized: a wrong secret, an expired credential or none, or a disabled user. :raises errors.InvalidField: incomplete.
    """
    with req.database.reader() as session:
        credential = application_credentials.by_id(session, _credential_id(session, params))
        user = session.get(users.User, credential.user_id) if credential else None
    is_verified = passwords.verify(params["secret"], credential.secret_hash if credential else None)
    if credential is None or user is None or not is_verified or not user.enabled:
        raise errors.Unauthorized()
    return user, credential


def _credential_id(session: Any, params: Body) -> str:
    """"": there is no such credential."""
    if "id" in params:
        return str(params["id"])
    user = params.get("user", {})
    domain = user.get("domain", {})
    if "name" not in params or not ("id" in user or ("name" in user and domain)):
        raise errors.InvalidField(
            field="auth/identity/application_credential", reason="needs id, or name and a user with id, or with name and domain")
    found = users.login_candidate(
        session, user_id=user.get("id"), name=user.get("name"), domain_id=domain.get("id"), domain_name=domain.get("name"))
    named = application_credentials.find(session, user_id=found.id, name=params["name"]) if found else []
    return named[0].id if named else ""


def _roles(req: Request, requested: list[Body] | None) -> list[users.Role]:
    """The requested roles, or all of the token, which must have them.

    :raises errors.BadRequest: naming the role that it does not have.
    """
    mine = [role for role in users.find(req.db, users.Role) if role.name in req.ctxt.roles]
    if not requested:
        return mine
    roles = []
    for params in requested:
        found = [role for role in mine if params.get("id", role.id) == role.id and params.get("name", role.name) == role.name]
        if len(found) != 1 or not {"id", "name"} & params.keys():
            raise errors.BadRequest(
                reason=f"Invalid application credential: Could not find role assignment with role: "
                f"{params.get('id') or params.get('name')}, user: {req.ctxt.user_id}, project: {req.ctxt.project_id}.")
        roles += [role for role in found if role not in roles]
    return roles


def _expiry(text: str | None) -> datetime.datetime | None:
    """:raises errors.InvalidField: not a time, or not in the future."""
    if text is None:
        return None
    field = "application_credential/expires_at"
    expiry = moment(text)
    if expiry is None:
        raise errors.InvalidField(field=field, reason=f"{text!r} is not a time in ISO 8601")
    if expiry <= utcnow():
        raise errors.InvalidField(field=field, reason="it is in the past")
    return expiry


def _refuse_restricted(req: Request) -> None:
    """:raises errors.Forbidden: the caller's token was issued for an application credential that is not unrestricted."""
    token = tokens.open_tokens(req.conf).read(req.http.headers["X-Auth-Token"])
    credential = application_credentials.by_id(req.db, token.credential_id) if token.credential_id else None
    if token.credential_id and (credential is None or not credential.unrestricted):
        raise errors.Forbidden(
            reason="Using method 'application_credential' is not allowed for managing additional application credentials.")


def _require_self(req: Request, user_id: str, rule: Rule) -> None:
    """:raises errors.PolicyForbids: the caller is neither that user nor an admin."""
    if user_id != req.ctxt.user_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)


def _views(req: Request, rows: list[ApplicationCredential]) -> list[Body]:
    ids = application_credentials.role_ids(req.db, [row.id for row in rows])
    roles = {role.id: {"id": role.id, "name": role.name, "domain_id": None} for role in users.find(req.db, users.Role)}
    return [{
        "id": row.id, "name": row.name, "description": row.description, "project_id": row.project_id, "user_id": row.user_id,
        "system": None, "roles": [view for role_id, view in roles.items() if role_id in ids[row.id]],
        # Without a zone, as Keystone's: gophercloud parses no other form.
        "expires_at": row.expires_at.isoformat(timespec="microseconds") if row.expires_at else None,
        "unrestricted": row.unrestricted,
        "links": {"self": f"{req.base_url}/users/{row.user_id}/application_credentials/{row.id}"},
    } for row in rows]
