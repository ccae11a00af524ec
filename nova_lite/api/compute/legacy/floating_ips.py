# SPDX-License-Identifier: Apache-2.0
"""The proxies to floating IPs and their pools, up to 2.35; later clients use the network API."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.network import floating_ips as network_api
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRING_OR_NULL, UUID, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, MEMBER, READER, Rule
from nova_lite.db.network import floating_ips, networks
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.networks import Network

_UNTIL = "2.35"
FIELDS = (
    Field("id", lambda floating_ip: floating_ip.id, UUID),
    Field("ip", lambda floating_ip: floating_ip.address, STRING),
    Field("pool", lambda floating_ip: floating_ip.network.name or floating_ip.network_id, STRING),
    Field("fixed_ip", lambda floating_ip: floating_ip.fixed_address if floating_ip.port else None, STRING_OR_NULL),
    Field("instance_id", lambda floating_ip: floating_ip.port.device_id if floating_ip.port else None, STRING_OR_NULL),
)
_CREATE = {"type": ["object", "null"], "properties": {"pool": {"type": ["string", "null"]}}, "additionalProperties": False}


@route("GET", "/os-floating-ip-pools", policy=Rule("os_compute_api:os-floating-ip-pools", ANYONE), until=_UNTIL,
       response=closed(floating_ip_pools=many(closed(name=STRING))))
def pools(req: Request) -> Body:
    """List the pools: the external networks. 200."""
    return {"floating_ip_pools": [{"name": network.name or network.id} for network in _external_networks(req)]}


@route("GET", "/os-floating-ips", policy=Rule("os_compute_api:os-floating-ips:list", READER), until=_UNTIL,
       response=closed(floating_ips=many(FIELDS)))
def index(req: Request) -> Body:
    """List the project's floating IPs. 200."""
    rows = floating_ips.find(req.db, project_id=req.ctxt.project_id)
    return {"floating_ips": [view(FIELDS, row, req) for row in rows]}


@route("GET", "/os-floating-ips/{floating_ip_id}", policy=Rule("os_compute_api:os-floating-ips:show", READER), until=_UNTIL,
       response=closed(floating_ip=FIELDS))
def show(req: Request, floating_ip_id: str) -> Body:
    """Show one floating IP. 200. 400: the id is no UUID. 404: no such floating IP in the project."""
    return {"floating_ip": view(FIELDS, _get(req, floating_ip_id), req)}


@route("POST", "/os-floating-ips", policy=Rule("os_compute_api:os-floating-ips:create", MEMBER), until=_UNTIL,
       body={"2.0": _CREATE}, response=closed(floating_ip=FIELDS))
def create(req: Request, body: Body) -> Body:
    """Allocate a floating IP from the pool, by default the first one.

    200 with the floating IP. 400: several pools have this name. 403: the quota is exceeded. 404: no such pool, or it has
    no free address.
    """
    pool = (body or {}).get("pool")
    network = _pool(req, pool)
    try:
        floating_ip = network_api.allocate(req, network, project_id=req.ctxt.project_id)
    except errors.NoCapacity:
        raise errors.NotFound(f"No more floating IPs in pool {pool}." if pool else "No more floating IPs available.") from None
    except errors.Conflict as refused:
        raise errors.Forbidden(
            reason=f"IP allocation over quota in pool {pool}." if pool else "IP allocation over quota.") from refused
    return {"floating_ip": view(FIELDS, floating_ip, req)}


@route("DELETE", "/os-floating-ips/{floating_ip_id}", policy=Rule("os_compute_api:os-floating-ips:delete", MEMBER),
       until=_UNTIL, status=202)
def delete(req: Request, floating_ip_id: str) -> None:
    """Release a floating IP, also one that is associated. 202 with no body. 400: the id is no UUID. 404: no such floating IP."""
    network_api.delete(req, _get(req, floating_ip_id).id)


def _get(req: Request, floating_ip_id: str) -> FloatingIp:
    """:raises errors.BadRequest: the id is no UUID. :raises errors.NotFound: no such floating IP in the project."""
    if not schemas.UUID_FORM.fullmatch(floating_ip_id):
        raise errors.BadRequest(reason=f"Invalid ID received {floating_ip_id}.")
    try:
        return floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.NotFound(f"Floating IP not found for ID {floating_ip_id}") from None


def _external_networks(req: Request) -> list[Network]:
    return networks.find(req.db, project_id=req.ctxt.visible_project, filters={"router:external": [True]})


def _pool(req: Request, name: str | None) -> Network:
    """The external network of this name or id, or the first when none is named.

    :raises errors.NotFound: there is none. :raises errors.BadRequest: several have the name.
    """
    matches = [network for network in _external_networks(req) if name in (None, network.id, network.name)]
    if not matches:
        raise errors.NotFound("Floating IP pool not found.")
    if name is not None and len(matches) > 1:
        raise errors.BadRequest(reason=f"Multiple floating IP pools matches found for name '{name}'")
    return matches[0]
