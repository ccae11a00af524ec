# SPDX-License-Identifier: Apache-2.0
"""/routers: connect a network of a project to an external one, as far as stock clients need it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from nova_lite import errors
from nova_lite.api.network import authorization, listing, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    EMPTY_LIST,
    NULL,
    STRING,
    TIME,
    UUID,
    Field,
    closed,
    many,
    nullable,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.network import floating_ips, networks, routers
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from nova_lite.db.network.routers import Router


class _Row(NamedTuple):
    """A router, and the addresses of its gateway on the external network."""

    router: Router
    addresses: Sequence[Address]


FIELDS = (
    Field("id", lambda r: r.router.id, UUID),
    Field("name", lambda r: r.router.name, STRING),
    Field("description", lambda r: r.router.description, STRING),
    Field("tenant_id", lambda r: r.router.project_id, STRING),
    Field("project_id", lambda r: r.router.project_id, STRING),
    Field("admin_state_up", lambda r: r.router.admin_state_up, BOOLEAN),
    Field("status", lambda _: "ACTIVE", STRING),
    Field("external_gateway_info", lambda r: _gateway_view(r), nullable(closed(
        network_id=UUID, enable_snat=BOOLEAN, external_fixed_ips=schemas.FIXED_IPS))),
    Field("routes", lambda _: [], EMPTY_LIST),
    Field("ha", lambda _: False, BOOLEAN),
    Field("distributed", lambda _: False, BOOLEAN),
    Field("flavor_id", lambda _: None, NULL),
    Field("availability_zones", lambda _: [], EMPTY_LIST),
    Field("availability_zone_hints", lambda _: [], EMPTY_LIST),
    Field("tags", lambda r: r.router.tags or [], many(STRING)),
    Field("created_at", lambda r: schemas.moment(r.router.created_at), TIME),
    Field("updated_at", lambda r: schemas.moment(r.router.updated_at or r.router.created_at), TIME),
)
_INTERFACE = closed(
    id=UUID, tenant_id=STRING, project_id=STRING, port_id=UUID, network_id=UUID, subnet_id=UUID, subnet_ids=many(UUID),
    tags=EMPTY_LIST)
_SUPPORTED: dict[str, object] = {
    "admin_state_up": True, "ha": False, "distributed": False, "flavor_id": None, "routes": [],
    "availability_zone_hints": [], "tags": []}
_GATEWAY: schemas.Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "network_id": schemas.UUID,
        "enable_snat": schemas.BOOL,
        "external_fixed_ips": {"type": "array"},
        "qos_policy_id": schemas.NULL,
    },
}
_CHANGEABLE: schemas.Schema = {
    "name": schemas.TEXT,
    "description": schemas.TEXT,
    "admin_state_up": schemas.BOOL,
    "external_gateway_info": schemas.maybe(_GATEWAY),
    "ha": schemas.BOOL,
    "distributed": schemas.BOOL,
    "flavor_id": schemas.maybe(schemas.TEXT),
    "routes": {"type": "array"},
}
CREATE = schemas.new_body(
    "router", {**_CHANGEABLE, **schemas.OWNER, "availability_zone_hints": {"type": "array"}, "tags": {"type": "array"}})
UPDATE = schemas.body("router", _CHANGEABLE)
INTERFACE: schemas.Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"subnet_id": schemas.UUID, "port_id": schemas.UUID, "router_id": schemas.UUID},
}


@route("GET", "/routers", policy=Rule("get_routers", READER), response=schemas.listed("routers", FIELDS))
def index(req: Request) -> Body:
    """List the project's routers.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    query = listing.read(req, routers.COLUMNS, constants={"status": "ACTIVE"})
    rows = [] if query.is_empty else routers.find(
        req.db, project_id=req.ctxt.visible_project, filters=query.filters, page=query.page)
    views = {item["id"]: item for item in _view_all(req, rows)}
    return listing.write(req, "routers", rows, query, lambda row: views[row.id])


@route("GET", "/routers/{router_id}", policy=Rule("get_router", READER), response=schemas.shown("router", FIELDS))
def show(req: Request, router_id: str) -> Body:
    """Show one router. 200. 404: no such router in the project."""
    return {"router": listing.only_fields(req, _view_all(req, [_own(req, router_id)])[0])}


@route(
    "POST", "/routers", policy=Rule("create_router", MEMBER), status=201, body={"2.0": CREATE}, response=schemas.made("router", FIELDS)
)
def create(req: Request, body: Body) -> Body:
    """Create a router, with a gateway to an external network if `external_gateway_info` is given; `routers`: several, all or none.

    201. 400: the network is not external, or an attribute that is not supported. 403: another project's by a caller who is no
    admin. 404: no such network. 409: the quota is exceeded, or the network has no free address.
    """
    return schemas.create(
        body, "router", functools.partial(_create, req), lock=functools.partial(authorization.lock_quotas, req))


def _create(req: Request, params: Body) -> Body:
    project_id = authorization.project_of(req, params)
    authorization.refuse_unsupported(params, _SUPPORTED)
    authorization.check_quota(req, project_id, "routers", used=routers.count)
    router = Router(
        id=new_id(), project_id=project_id, name=params.get("name", ""), description=params.get("description", ""))
    req.db.add(router)
    req.db.flush()
    _set_gateway(req, router, params)
    return _view_all(req, [router])[0]


@route(
    "PUT", "/routers/{router_id}", policy=Rule("update_router", MEMBER), body={"2.0": UPDATE}, response=closed(router=FIELDS)
)
def update(req: Request, router_id: str, body: Body) -> Body:
    """Change a router's name, description or external gateway.

    200. 400: the network is not external, or an attribute that is not supported. 404: no such router or network. 409: the
    network has no free address.
    """
    params = body["router"]
    router = _own(req, router_id)
    authorization.refuse_unsupported(params, _SUPPORTED)
    for name in ("name", "description"):
        if name in params:
            setattr(router, name, params[name])
    _set_gateway(req, router, params)
    req.db.flush()
    return {"router": _view_all(req, [router])[0]}


@route("DELETE", "/routers/{router_id}", policy=Rule("delete_router", MEMBER), status=204)
def delete(req: Request, router_id: str) -> None:
    """Delete a router without interfaces. 204. 404: no such router. 409: it has interfaces."""
    router = _own(req, router_id)
    if routers.interfaces(req.db, router.id):
        raise errors.Conflict(reason=f"Router {router.id} still has ports")
    routers.delete(req.db, router)


@route("PUT", "/routers/{router_id}/add_router_interface", policy=Rule("add_router_interface", MEMBER),
       body={"2.0": INTERFACE}, response=_INTERFACE)
def add_interface(req: Request, router_id: str, body: Body) -> Body:
    """Add an interface to a subnet of the router's project; an admin may add one to any.

    200 with its port. 400: no `subnet_id`, a subnet without gateway, or the router has an interface in another network. 403: the
    subnet is another project's. 404: no such router or subnet. 409: a port has the gateway address.
    """
    router = _own(req, router_id)
    if "subnet_id" not in body:
        raise errors.BadRequest(
            reason="Bad router request: subnet_id is required. An interface has the subnet's gateway address, so it "
            "cannot be an existing port.")
    subnet = networks.get_subnet(req.db, body["subnet_id"], project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, subnet.project_id, "add_router_interface")
    network_ids = {port.network_id for port in routers.interfaces(req.db, router.id)}
    if network_ids - {subnet.network_id}:
        raise errors.BadRequest(
            reason="Bad router request: routers of this cloud connect one network to an external one and do not route between "
            f"networks; router {router.id} has an interface in network {network_ids.pop()}.")
    port = routers.add_interface(req.db, router, subnet, rng=authorization.RNG)
    return _interface(router, port, subnet.id)


@route("PUT", "/routers/{router_id}/remove_router_interface", policy=Rule("remove_router_interface", MEMBER),
       body={"2.0": INTERFACE}, response=_INTERFACE)
def remove_interface(req: Request, router_id: str, body: Body) -> Body:
    """Remove the interface that `subnet_id` or `port_id` names.

    200 with its port. 404: no such router or interface. 409: floating IPs of the network need it.
    """
    router = _own(req, router_id)
    for port in routers.interfaces(req.db, router.id):
        subnet_ids = [address.subnet_id for address in port.addresses]
        if port.id == body.get("port_id") or body.get("subnet_id") in subnet_ids:
            _refuse_floating(req, router, port)
            routers.remove_interface(req.db, port)
            return _interface(router, port, subnet_ids[0])
    raise errors.NotFound(
        f"Router {router.id} does not have an interface on subnet or port "
        f"{body.get('subnet_id') or body.get('port_id')}", what="Router interface", id=router.id)


def _refuse_floating(req: Request, router: Router, interface: Port) -> None:
    for floating in floating_ips.find(req.db, project_id=router.project_id, is_used=True):
        if floating.port is not None and floating.port.network_id == interface.network_id:
            raise errors.Conflict(
                reason=f"Router interface for subnet {interface.addresses[0].subnet_id} on router {router.id} cannot be "
                "deleted, as it is required by one or more floating IPs.")


def _own(req: Request, router_id: str) -> Router:
    return routers.get(req.db, router_id, project_id=req.ctxt.visible_project)


def _set_gateway(req: Request, router: Router, params: Body) -> None:
    """:raises errors.BadRequest: the network is not external."""
    if "external_gateway_info" not in params:
        return
    info = params["external_gateway_info"] or {}
    if info.get("enable_snat") is False:
        raise errors.BadRequest(reason="Invalid input for enable_snat. Reason: only true is supported by this cloud.")
    network: Network | None = None
    if info.get("network_id"):
        network = networks.get(req.db, info["network_id"], project_id=req.ctxt.visible_project)
        if not network.is_external:
            raise errors.BadRequest(reason=f"Bad router request: Network {network.id} is not an external network")
    routers.set_gateway(req.db, router, network, rng=authorization.RNG)


def _interface(router: Router, port: Port, subnet_id: str) -> Body:
    return {
        "id": router.id, "tenant_id": router.project_id, "project_id": router.project_id, "port_id": port.id,
        "network_id": port.network_id, "subnet_id": subnet_id, "subnet_ids": [subnet_id], "tags": []}


def _view_all(req: Request, rows: list[Router]) -> list[Body]:
    addresses = routers.gateway_addresses(req.db, rows)
    return [view(FIELDS, _Row(row, addresses.get(row.gateway_port_id or "", ())), req) for row in rows]


def _gateway_view(row: _Row) -> Body | None:
    if row.router.network_id is None:
        return None
    return {"network_id": row.router.network_id, "enable_snat": True, "external_fixed_ips": [
        {"subnet_id": address.subnet_id, "ip_address": address.address} for address in row.addresses]}
