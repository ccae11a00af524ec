# SPDX-License-Identifier: Apache-2.0
"""Keypairs of the caller, and for admins those of other users."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.keypairs import keys
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute import keypairs
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.db.quotas import quotas

# A user has keypairs without any role in a project; whose they are is checked in `_owner`.
INDEX, SHOW, CREATE, DELETE = (
    Rule(f"os_compute_api:os-keypairs:{word}", ANYONE, check="rule:context_is_admin or user_id:%(user_id)s")
    for word in ("index", "show", "create", "delete"))

LIST_FIELDS = (
    Field("name", lambda keypair: keypair.name),
    Field("public_key", lambda keypair: keypair.public_key),
    Field("fingerprint", lambda keypair: keypair.fingerprint),
    Field("type", lambda keypair: keypair.type, since="2.2"),
)
CREATE_FIELDS = (*LIST_FIELDS, Field("user_id", lambda keypair: keypair.user_id))
SHOW_FIELDS = (
    *CREATE_FIELDS,
    Field("id", lambda keypair: keypair.number),
    Field("created_at", lambda keypair: micros(keypair.created_at)),
    Field("deleted", lambda _: False),
    Field("deleted_at", lambda _: None),
    Field("updated_at", lambda keypair: micros(keypair.updated_at)),
)

_PUBLIC_KEY = {"type": "string", "minLength": 1, "maxLength": 65535}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9_\- ]+(?<! )$"}
_NAME_WIDE = {**_NAME, "pattern": r"^(?! )[a-zA-Z0-9_\- @.]+(?<! )$"}
_TYPE = {"enum": ["ssh", "x509"]}
_USER = {"type": "string", "minLength": 1, "maxLength": 255}
_BASE = {"name": _NAME, "public_key": {**_PUBLIC_KEY, "type": ["string", "null"]}}
SCHEMAS = {
    "2.0": schemas.keyed("keypair", schemas.closed(_BASE, required=("name",))),
    "2.2": schemas.keyed("keypair", schemas.closed({**_BASE, "type": _TYPE}, required=("name",))),
    "2.10": schemas.keyed("keypair", schemas.closed({**_BASE, "type": _TYPE, "user_id": _USER}, required=("name",))),
    "2.92": schemas.keyed("keypair", schemas.closed(
        {"name": _NAME_WIDE, "public_key": _PUBLIC_KEY, "type": _TYPE, "user_id": _USER},
        required=("name", "public_key"))),
}
QUERY = schemas.queries({"2.10": ("user_id",), "2.35": ("limit", "marker")})
QUERY_ONE = schemas.queries({"2.10": ("user_id",)})


def _own(req: Request) -> str:
    """Whose keypairs: before 2.10 always the caller's."""
    return req.ctxt.user_id


def _owner(req: Request, asked: str | None, rule: Rule) -> str:
    """Whose keypairs: the caller's, or for an admin the user's that `user_id` names.

    :raises errors.PolicyForbids: another user's, and the caller is no admin.
    """
    user_id = asked or req.ctxt.user_id
    if user_id != req.ctxt.user_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)
    return user_id


def _list(req: Request, found: list[Keypair]) -> Body:
    return {"keypairs": [{"keypair": view(LIST_FIELDS, keypair, req)} for keypair in found]}


@route("GET", "/os-keypairs", policy=INDEX, until="2.9")
def index_own(req: Request) -> Body:
    """The caller's keypairs."""
    return _list(req, keypairs.find(req.db, user_id=_own(req)))


@route("GET", "/os-keypairs", policy=INDEX, since="2.10", until="2.34", query=QUERY)
def index(req: Request) -> Body:
    """A user's keypairs."""
    return _list(req, keypairs.find(req.db, user_id=_owner(req, req.query.get("user_id"), INDEX)))


@route("GET", "/os-keypairs", policy=INDEX, since="2.35", query=QUERY)
def index_paged(req: Request) -> Body:
    """A page of a user's keypairs, by name."""
    limit = paging.limit(req)
    found = keypairs.find(req.db, user_id=_owner(req, req.query.get("user_id"), INDEX),
                          marker=req.query.get("marker"), limit=limit + 1)
    body = _list(req, found[:limit])
    if len(found) > limit > 0:
        body["keypairs_links"] = [paging.next_link(req, path="/os-keypairs", marker=found[limit - 1].name)]
    return body


@route("GET", "/os-keypairs/{name}", policy=SHOW, until="2.9")
def show_own(req: Request, name: str) -> Body:
    """One of the caller's keypairs."""
    return {"keypair": view(SHOW_FIELDS, keypairs.get(req.db, user_id=_own(req), name=name), req)}


@route("GET", "/os-keypairs/{name}", policy=SHOW, since="2.10", query=QUERY_ONE)
def show(req: Request, name: str) -> Body:
    """One of a user's keypairs."""
    owner = _owner(req, req.query.get("user_id"), SHOW)
    return {"keypair": view(SHOW_FIELDS, keypairs.get(req.db, user_id=owner, name=name), req)}


@route("POST", "/os-keypairs", policy=CREATE, until="2.1", status=200, body=SCHEMAS)
@route("POST", "/os-keypairs", policy=CREATE, since="2.2", status=201, body=SCHEMAS)
def create(req: Request, body: Body) -> Body:
    """Keep a public key; without one (before 2.92) make a new key, whose private half is only in this answer."""
    asked = body["keypair"]
    owner = _owner(req, asked.get("user_id"), CREATE)
    kind, public_key, private_key = asked.get("type", "ssh"), asked.get("public_key"), None
    if public_key is None:
        pair = keys.new_ssh_key("Generated-by-nova_lite") if kind == "ssh" else keys.new_certificate(owner, now=utcnow())
        public_key, private_key = pair
    fingerprint = keys.ssh_fingerprint(public_key) if kind == "ssh" else keys.x509_fingerprint(public_key)
    limit = quotas.limits(req.db, req.conf, req.ctxt.project_id, user_id=owner)["key_pairs"]
    made = keypairs.add(req.db, limit=limit, keypair=Keypair(
        user_id=owner, name=asked["name"], type=kind, public_key=public_key, fingerprint=fingerprint))
    shown = view(CREATE_FIELDS, made, req)
    return {"keypair": shown | ({"private_key": private_key} if private_key else {})}


@route("DELETE", "/os-keypairs/{name}", policy=DELETE, until="2.1", status=202)
@route("DELETE", "/os-keypairs/{name}", policy=DELETE, since="2.2", until="2.9", status=204)
def delete_own(req: Request, name: str) -> None:
    """Forget one of the caller's keypairs."""
    keypairs.remove(req.db, keypairs.get(req.db, user_id=_own(req), name=name))


@route("DELETE", "/os-keypairs/{name}", policy=DELETE, since="2.10", status=204, query=QUERY_ONE)
def delete(req: Request, name: str) -> None:
    """Forget one of a user's keypairs."""
    owner = _owner(req, req.query.get("user_id"), DELETE)
    keypairs.remove(req.db, keypairs.get(req.db, user_id=owner, name=name))
