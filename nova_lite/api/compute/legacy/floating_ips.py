# SPDX-License-Identifier: Apache-2.0
"""Floating addresses and their pools through the compute API; gone after 2.35, where the network API has them."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.network import floating_ips as network_face
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, MEMBER, READER, Rule
from nova_lite.db.network import floating_ips, networks
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.networks import Network

_UNTIL = "2.35"
FIELDS = (
    Field("id", lambda one: one.id),
    Field("ip", lambda one: one.address),
    Field("pool", lambda one: one.network.name or one.network_id),
    Field("fixed_ip", lambda one: one.fixed_address if one.port else None),
    Field("instance_id", lambda one: one.port.device_id if one.port else None),
)
_CREATE = {"type": ["object", "null"], "properties": {"pool": {"type": ["string", "null"]}}, "additionalProperties": False}


@route("GET", "/os-floating-ip-pools", policy=Rule("os_compute_api:os-floating-ip-pools", ANYONE), until=_UNTIL)
def pools(req: Request) -> Body:
    """The external networks."""
    return {"floating_ip_pools": [{"name": network.name or network.id} for network in _external(req)]}


@route("GET", "/os-floating-ips", policy=Rule("os_compute_api:os-floating-ips:list", READER), until=_UNTIL)
def index(req: Request) -> Body:
    """The project's floating addresses."""
    found = floating_ips.find(req.db, project_id=req.ctxt.project_id)
    return {"floating_ips": [view(FIELDS, one, req) for one in found]}


@route("GET", "/os-floating-ips/{floating_ip_id}", policy=Rule("os_compute_api:os-floating-ips:show", READER), until=_UNTIL)
def show(req: Request, floating_ip_id: str) -> Body:
    """One floating address."""
    return {"floating_ip": view(FIELDS, _one(req, floating_ip_id), req)}


@route("POST", "/os-floating-ips", policy=Rule("os_compute_api:os-floating-ips:create", MEMBER), until=_UNTIL,
       body={"2.0": _CREATE})
def create(req: Request, body: Body) -> Body:
    """Take an address of the pool, or of the only one.

    :raises errors.NotFound: no such pool, or nothing left in it. :raises errors.Forbidden: over the quota.
    """
    pool = (body or {}).get("pool")
    network = _pool(req, pool)
    try:
        made = network_face.allocate(req, network, project_id=req.ctxt.project_id)
    except errors.NoCapacity:
        raise errors.NotFound(f"No more floating IPs in pool {pool}." if pool else "No more floating IPs available.") from None
    except errors.Conflict as refused:
        raise errors.Forbidden(
            reason=f"IP allocation over quota in pool {pool}." if pool else "IP allocation over quota.") from refused
    return {"floating_ip": view(FIELDS, made, req)}


@route("DELETE", "/os-floating-ips/{floating_ip_id}", policy=Rule("os_compute_api:os-floating-ips:delete", MEMBER),
       until=_UNTIL, status=202)
def delete(req: Request, floating_ip_id: str) -> None:
    """Give the address back; it leads nowhere from now on."""
    network_face.delete(req, _one(req, floating_ip_id).id)


def _one(req: Request, floating_ip_id: str) -> FloatingIp:
    """:raises errors.BadRequest: that is no id. :raises errors.NotFound: no such address of the caller's."""
    if not schemas.UUID_FORM.fullmatch(floating_ip_id):
        raise errors.BadRequest(reason=f"Invalid ID received {floating_ip_id}.")
    try:
        return floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.NotFound(f"Floating IP not found for ID {floating_ip_id}") from None


def _external(req: Request) -> list[Network]:
    return networks.find(req.db, project_id=req.ctxt.visible_project, filters={"router:external": [True]})


def _pool(req: Request, word: str | None) -> Network:
    """The external network of this name or id, or the first when none is named.

    :raises errors.NotFound: there is none. :raises errors.BadRequest: several have the name.
    """
    found = [network for network in _external(req) if word in (None, network.id, network.name)]
    if not found:
        raise errors.NotFound("Floating IP pool not found.")
    if word is not None and len(found) > 1:
        raise errors.BadRequest(reason=f"Multiple floating IP pools matches found for name '{word}'")
    return found[0]
