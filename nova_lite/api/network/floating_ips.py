# SPDX-License-Identifier: Apache-2.0
"""/floatingips: addresses of external networks, associated with a port's fixed IP."""

from __future__ import annotations

import functools
from typing import NamedTuple

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    NULL,
    STRING,
    STRING_OR_NULL,
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
from nova_lite.db.network import floating_ips, networks, ports
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ip_allocations import Wanted
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port


class _Row(NamedTuple):
    """A floating IP, and the router of its port's network, if there is one."""

    floating: FloatingIp
    router_id: str | None

    @property
    def port(self) -> Port | None:
        return self.floating.port


_PORT_FIELDS = (
    Field("name", lambda p: p.name, STRING),
    Field("network_id", lambda p: p.network_id, UUID),
    Field("mac_address", lambda p: p.mac_address, STRING),
    Field("admin_state_up", lambda p: p.admin_state_up, BOOLEAN),
    Field("status", lambda p: p.status, STRING),
    Field("device_id", lambda p: p.device_id, STRING),
    Field("device_owner", lambda p: p.device_owner, STRING),
)
FIELDS = (
    Field("id", lambda r: r.floating.id, UUID),
    Field("tenant_id", lambda r: r.floating.project_id, STRING),
    Field("project_id", lambda r: r.floating.project_id, STRING),
    Field("description", lambda r: r.floating.description, STRING),
    Field("floating_network_id", lambda r: r.floating.network_id, UUID),
    Field("floating_ip_address", lambda r: r.floating.address, STRING),
    Field("router_id", lambda r: r.router_id, STRING_OR_NULL),
    Field("port_id", lambda r: r.floating.port_id, STRING_OR_NULL),
    Field("fixed_ip_address", lambda r: r.floating.fixed_address if r.port else None, STRING_OR_NULL),
    Field("status", lambda r: "ACTIVE" if r.port else "DOWN", STRING),
    Field("port_details", lambda r: r.port and {field.name: field.read(r.port) for field in _PORT_FIELDS}, nullable(_PORT_FIELDS)),
    Field("qos_policy_id", lambda _: None, NULL),
    Field("tags", lambda r: r.floating.tags or [], many(STRING)),
    Field("dns_name", lambda _: "", STRING),
    Field("dns_domain", lambda _: "", STRING),
    Field("created_at", lambda r: schemas.moment(r.floating.created_at), TIME),
    Field("updated_at", lambda r: schemas.moment(r.floating.updated_at or r.floating.created_at), TIME),
)
_SUPPORTED: dict[str, object] = {"qos_policy_id": None, "dns_name": "", "dns_domain": "", "tags": [], "distributed": False}
_CHANGEABLE: schemas.Schema = {
    "port_id": schemas.maybe(schemas.TEXT),
    "fixed_ip_address": schemas.maybe(schemas.ADDRESS),
    "description": schemas.TEXT,
    "qos_policy_id": schemas.maybe(schemas.TEXT),
}
CREATE = schemas.new_body(
    "floatingip",
    {
        **_CHANGEABLE,
        **schemas.OWNER,
        "floating_network_id": schemas.UUID,
        "floating_ip_address": schemas.maybe(schemas.ADDRESS),
        "subnet_id": schemas.maybe(schemas.UUID),
        "dns_name": schemas.TEXT,
        "dns_domain": schemas.TEXT,
        "tags": {"type": "array"},
    },
    required=("floating_network_id",),
)
UPDATE = schemas.body("floatingip", _CHANGEABLE)


@route("GET", "/floatingips", policy=Rule("get_floatingips", READER), response=schemas.listed("floatingips", FIELDS))
def index(req: Request) -> Body:
    """List the project's floating IPs.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    query = listing.read(req, floating_ips.COLUMNS, extra=("status", "router_id"))
    rows = floating_ips.find(
        req.db, project_id=req.ctxt.visible_project, filters=query.filters, is_used=_is_used(req), page=query.page)
    views = {item["id"]: item for item in _view_all(req, rows)}
    router_ids = set(req.query.getall("router_id"))
    if router_ids:
        rows = [row for row in rows if views[row.id]["router_id"] in router_ids]
    return listing.write(req, "floatingips", rows, query, lambda row: views[row.id])


def _is_used(req: Request) -> bool | None:
    status = req.query.get("status")
    return None if status is None else status.upper() == "ACTIVE"


@route(
    "GET", "/floatingips/{floating_ip_id}", policy=Rule("get_floatingip", READER), response=schemas.shown("floatingip", FIELDS)
)
def show(req: Request, floating_ip_id: str) -> Body:
    """Show one floating IP. 200. 404: no such one in the project."""
    floating = floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    return {"floatingip": listing.only_fields(req, _view_all(req, [floating])[0])}


@route(
    "POST", "/floatingips", policy=Rule("create_floatingip", MEMBER), status=201, body={"2.0": CREATE},
    response=schemas.made("floatingip", FIELDS),
)
def create(req: Request, body: Body) -> Body:
    """Allocate an address of an external network, and associate it with a port if `port_id` is given; `floatingips`: several, all or none.

    201. 400: the network is not external, or the port does not have the fixed IP. 403: `floating_ip_address`
    or another project by a caller who is no admin. 404: no such network, subnet or port. 409: the quota is exceeded, no
    address is free, or the fixed IP has a floating IP of the network already.
    """
    return schemas.create(
        body, "floatingip", functools.partial(_create, req), lock=functools.partial(authorization.lock_quotas, req),
        order=lambda params: (params.get("port_id") or "", params.get("floating_ip_address") or ""))


def _create(req: Request, params: Body) -> Body:
    project_id = authorization.project_of(req, params)
    authorization.refuse_unsupported(params, _SUPPORTED)
    authorization.refuse_admin_only(req, params, "create_floatingip", {"floating_ip_address": None})
    network = networks.get(req.db, params["floating_network_id"], project_id=req.ctxt.visible_project)
    port = _port(req, params.get("port_id"))
    floating = allocate(
        req, network, project_id=project_id, description=params.get("description", ""),
        requested=Wanted(subnet_id=params.get("subnet_id"), address=params.get("floating_ip_address")))
    floating_ips.lead(req.db, floating, port, params.get("fixed_ip_address"))
    return _reply(req, floating, {port.device_id} if port else set())


def allocate(
    req: Request, network: Network, *, project_id: str, description: str = "", requested: Wanted | None = None
) -> FloatingIp:
    """A new floating IP of the network, associated with no port yet.

    :raises errors.BadRequest: the network is not external. :raises errors.Conflict: over the quota, or none is free.
    """
    if not network.is_external:
        raise errors.BadRequest(
            reason=f"Bad floatingip request: Network {network.id} is not a valid external network.")
    authorization.check_quota(req, project_id, "floating_ips", used=floating_ips.count)
    return floating_ips.create(
        req.db, project_id=project_id, network=network, wanted=requested, description=description, rng=authorization.RNG)


@route(
    "PUT", "/floatingips/{floating_ip_id}", policy=Rule("update_floatingip", MEMBER), body={"2.0": UPDATE},
    response=closed(floatingip=FIELDS),
)
def update(req: Request, floating_ip_id: str, body: Body) -> Body:
    """Associate the floating IP with another port, disassociate it (`port_id` null), or change its description.

    200. 400: `fixed_ip_address` without `port_id` or not of the port, or an attribute that is not supported. 404: no such
    floating IP or port. 409: the fixed IP has a floating IP of the network already.
    """
    params = body["floatingip"]
    floating = floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unsupported(params, _SUPPORTED)
    server_ids = {floating.port.device_id} if floating.port else set()
    if "description" in params:
        floating.description = params["description"]
    if "port_id" in params:
        port = _port(req, params["port_id"])
        floating_ips.lead(req.db, floating, port, params.get("fixed_ip_address"))
        server_ids |= {port.device_id} if port else set()
    elif params.get("fixed_ip_address"):
        raise errors.BadRequest(
            reason="Bad floatingip request: fixed_ip_address cannot be specified without a port_id.")
    return {"floatingip": _reply(req, floating, server_ids)}


@route("DELETE", "/floatingips/{floating_ip_id}", policy=Rule("delete_floatingip", MEMBER), status=204)
def delete(req: Request, floating_ip_id: str) -> None:
    """Disassociate and release the floating IP. 204. 404: no such one in the project."""
    floating = floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    server_ids = {floating.port.device_id} if floating.port else set()
    floating_ips.delete(req.db, floating)
    push_change(req, server_ids)


def push_change(req: Request, server_ids: set[str]) -> None:
    """After the commit: send the floating IPs of these servers to their hosts, and rebuild the guests' metadata."""
    network_sync.servers(req, server_ids)
    for server_id in sorted(filter(None, server_ids)):
        req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server_id)


def _view_all(req: Request, rows: list[FloatingIp]) -> list[Body]:
    """The floating IPs as the API shows them; one more query, for their routers."""
    routers = floating_ips.router_of(req.db, sorted({row.port.network_id for row in rows if row.port}))
    return [view(FIELDS, _Row(row, routers.get(row.port.network_id) if row.port else None), req) for row in rows]


def _reply(req: Request, floating: FloatingIp, server_ids: set[str]) -> Body:
    push_change(req, server_ids)
    return _view_all(req, [floating_ips.reread(req.db, floating)])[0]


def _port(req: Request, port_id: str | None) -> Port | None:
    return ports.get(req.db, port_id, project_id=req.ctxt.visible_project) if port_id else None
