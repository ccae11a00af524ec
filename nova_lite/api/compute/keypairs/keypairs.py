# SPDX-License-Identifier: Apache-2.0
"""Keypairs of the caller, and for admins those of other users."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.keypairs import keys
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    NULL,
    STRING,
    TIME,
    TIME_OR_NULL,
    Field,
    Property,
    closed,
    many,
    page,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute import keypairs
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.db.quotas import quotas

# Keypairs belong to users, whatever their roles in projects; `_owner` checks whose they are.
INDEX, SHOW, CREATE, DELETE = (
    Rule(f"os_compute_api:os-keypairs:{word}", ANYONE, check="rule:context_is_admin or user_id:%(user_id)s")
    for word in ("index", "show", "create", "delete"))

LIST_FIELDS = (
    Field("name", lambda keypair: keypair.name, STRING),
    Field("public_key", lambda keypair: keypair.public_key, STRING),
    Field("fingerprint", lambda keypair: keypair.fingerprint, STRING),
    Field("type", lambda keypair: keypair.type, {"enum": ["ssh", "x509"]}, since="2.2"),
)
CREATE_FIELDS = (*LIST_FIELDS, Field("user_id", lambda keypair: keypair.user_id, STRING))
SHOW_FIELDS = (
    *CREATE_FIELDS,
    Field("id", lambda keypair: keypair.number, INTEGER),
    Field("created_at", lambda keypair: micros(keypair.created_at), TIME),
    Field("deleted", lambda _: False, BOOLEAN),
    Field("deleted_at", lambda _: None, NULL),
    Field("updated_at", lambda keypair: micros(keypair.updated_at), TIME_OR_NULL),
)
_ITEM = closed(keypair=LIST_FIELDS)
# The private key of a pair that was generated here; from 2.92 on public keys are only imported.
_CREATED = closed(keypair=(*CREATE_FIELDS, Property("private_key", STRING, until="2.91", is_optional=True)))

_PUBLIC_KEY = {"type": "string", "minLength": 1, "maxLength": 65535}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9_\- ]+(?<! )$"}
_NAME_SINCE_2_92 = {**_NAME, "pattern": r"^(?! )[a-zA-Z0-9_\- @.]+(?<! )$"}
_TYPE = {"enum": ["ssh", "x509"]}
_USER = {"type": "string", "minLength": 1, "maxLength": 255}
_BASE = {"name": _NAME, "public_key": {**_PUBLIC_KEY, "type": ["string", "null"]}}
SCHEMAS = {
    "2.0": schemas.keyed("keypair", schemas.closed(_BASE, required=("name",))),
    "2.2": schemas.keyed("keypair", schemas.closed({**_BASE, "type": _TYPE}, required=("name",))),
    "2.10": schemas.keyed("keypair", schemas.closed({**_BASE, "type": _TYPE, "user_id": _USER}, required=("name",))),
    "2.92": schemas.keyed("keypair", schemas.closed(
        {"name": _NAME_SINCE_2_92, "public_key": _PUBLIC_KEY, "type": _TYPE, "user_id": _USER},
        required=("name", "public_key"))),
}
QUERY = schemas.queries({"2.10": ("user_id",), "2.35": ("limit", "marker")})
QUERY_ONE = schemas.queries({"2.10": ("user_id",)})


def _owner(req: Request, requested_user_id: str | None, rule: Rule) -> str:
    """The user whose keypairs they are: the caller, or for an admin the requested one.

    :raises errors.PolicyForbids: another user's, and the caller is no admin.
    """
    user_id = requested_user_id or req.ctxt.user_id
    if user_id != req.ctxt.user_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)
    return user_id


def _list(req: Request, rows: list[Keypair]) -> Body:
    return {"keypairs": [{"keypair": view(LIST_FIELDS, keypair, req)} for keypair in rows]}


@route("GET", "/os-keypairs", policy=INDEX, until="2.9", response=closed(keypairs=many(_ITEM)))
def index_own(req: Request) -> Body:
    """List the caller's keypairs. 200."""
    return _list(req, keypairs.find(req.db, user_id=req.ctxt.user_id))


@route("GET", "/os-keypairs", policy=INDEX, since="2.10", until="2.34", query=QUERY,
       response=closed(keypairs=many(_ITEM)))
def index(req: Request) -> Body:
    """List a user's keypairs. 200. 403: another user's, to a caller who is no admin."""
    return _list(req, keypairs.find(req.db, user_id=_owner(req, req.query.get("user_id"), INDEX)))


@route("GET", "/os-keypairs", policy=INDEX, since="2.35", query=QUERY, response=page("keypairs", _ITEM))
def index_paged(req: Request) -> Body:
    """List a page of a user's keypairs, by name.

    200. 400: a wrong marker or limit. 403: another user's, to a caller who is no admin.
    """
    limit = paging.limit(req)
    rows = keypairs.find(req.db, user_id=_owner(req, req.query.get("user_id"), INDEX),
                         marker=req.query.get("marker"), limit=limit + 1)
    body = _list(req, rows[:limit])
    if len(rows) > limit > 0:
        body["keypairs_links"] = [paging.next_link(req, path="/os-keypairs", marker=rows[limit - 1].name)]
    return body


@route("GET", "/os-keypairs/{name}", policy=SHOW, until="2.9", response=closed(keypair=SHOW_FIELDS))
def show_own(req: Request, name: str) -> Body:
    """Show one of the caller's keypairs. 200. 404: the caller has none of this name."""
    return {"keypair": view(SHOW_FIELDS, keypairs.get(req.db, user_id=req.ctxt.user_id, name=name), req)}


@route("GET", "/os-keypairs/{name}", policy=SHOW, since="2.10", query=QUERY_ONE,
       response=closed(keypair=SHOW_FIELDS))
def show(req: Request, name: str) -> Body:
    """Show one of a user's keypairs.

    200. 403: another user's, to a caller who is no admin. 404: the user has none of this name.
    """
    owner = _owner(req, req.query.get("user_id"), SHOW)
    return {"keypair": view(SHOW_FIELDS, keypairs.get(req.db, user_id=owner, name=name), req)}


@route("POST", "/os-keypairs", policy=CREATE, until="2.1", status=200, body=SCHEMAS, response=_CREATED)
@route("POST", "/os-keypairs", policy=CREATE, since="2.2", status=201, body=SCHEMAS, response=_CREATED)
def create(req: Request, body: Body) -> Body:
    """Import a public key; without one (before 2.92) generate a pair, whose private key is only in this response.

    200, from 2.2 on 201, with the keypair. 400: not a public key or certificate. 403: for another user by a caller who is
    no admin, or the quota is exceeded. 409: the user has one of this name.
    """
    params = body["keypair"]
    owner = _owner(req, params.get("user_id"), CREATE)
    kind, public_key, private_key = params.get("type", "ssh"), params.get("public_key"), None
    if public_key is None:
        pair = keys.new_ssh_key("Generated-by-nova_lite") if kind == "ssh" else keys.new_certificate(owner, now=utcnow())
        public_key, private_key = pair
    fingerprint = keys.ssh_fingerprint(public_key) if kind == "ssh" else keys.x509_fingerprint(public_key)
    limit = quotas.limits(req.db, req.conf, req.ctxt.project_id, user_id=owner)["key_pairs"]
    keypair = keypairs.add(req.db, limit=limit, keypair=Keypair(
        user_id=owner, name=params["name"], type=kind, public_key=public_key, fingerprint=fingerprint))
    document = view(CREATE_FIELDS, keypair, req)
    return {"keypair": document | ({"private_key": private_key} if private_key else {})}


@route("DELETE", "/os-keypairs/{name}", policy=DELETE, until="2.1", status=202)
@route("DELETE", "/os-keypairs/{name}", policy=DELETE, since="2.2", until="2.9", status=204)
def delete_own(req: Request, name: str) -> None:
    """Delete one of the caller's keypairs; servers keep the key. 202, from 2.2 on 204. 404: the caller has none of this name."""
    keypairs.remove(req.db, keypairs.get(req.db, user_id=req.ctxt.user_id, name=name))


@route("DELETE", "/os-keypairs/{name}", policy=DELETE, since="2.10", status=204, query=QUERY_ONE)
def delete(req: Request, name: str) -> None:
    """Delete one of a user's keypairs; servers keep the key.

    204. 403: another user's, by a caller who is no admin. 404: the user has none of this name.
    """
    owner = _owner(req, req.query.get("user_id"), DELETE)
    keypairs.remove(req.db, keypairs.get(req.db, user_id=owner, name=name))
