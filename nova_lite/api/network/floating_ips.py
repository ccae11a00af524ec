# SPDX-License-Identifier: Apache-2.0
"""/floatingips: addresses of external networks that lead to a port's fixed address."""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import MEMBER, READER, Rule, route
from nova_lite.db.network import floating_ips, networks, ports
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ip_allocations import Wanted
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port

_SUPPORTED: dict[str, object] = {"qos_policy_id": None, "dns_name": "", "dns_domain": "", "tags": [], "distributed": False}
_CHANGEABLE: schemas.Schema = {
    "port_id": schemas.maybe(schemas.TEXT),
    "fixed_ip_address": schemas.maybe(schemas.ADDRESS),
    "description": schemas.TEXT,
    "qos_policy_id": schemas.maybe(schemas.TEXT),
}
CREATE = schemas.body(
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


@route("GET", "/floatingips", policy=Rule("get_floatingips", READER))
def index(req: Request) -> Body:
    """The project's floating addresses."""
    asked = listing.read(req, floating_ips.COLUMNS, extra=("status", "router_id"))
    rows = floating_ips.find(
        req.db, project_id=req.ctxt.visible_project, filters=asked.filters, is_used=_is_used(req), page=asked.page)
    shown = {item["id"]: item for item in view_all(req, rows)}
    wanted = set(req.query.getall("router_id"))
    if wanted:
        rows = [row for row in rows if shown[row.id]["router_id"] in wanted]
    return listing.write(req, "floatingips", rows, asked, lambda row: shown[row.id])


def _is_used(req: Request) -> bool | None:
    status = req.query.get("status")
    return None if status is None else status.upper() == "ACTIVE"


@route("GET", "/floatingips/{floating_ip_id}", policy=Rule("get_floatingip", READER))
def show(req: Request, floating_ip_id: str) -> Body:
    """One floating address."""
    found = floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    return {"floatingip": listing.only_fields(req, view_all(req, [found])[0])}


@route("POST", "/floatingips", policy=Rule("create_floatingip", MEMBER), status=201, body={"2.0": CREATE})
def create(req: Request, body: Body) -> Body:
    """Take an address of an external network; it may lead to a port at once."""
    asked = body["floatingip"]
    project_id = authorization.project_of(req, asked)
    authorization.refuse_unsupported(asked, _SUPPORTED)
    authorization.refuse_admin_only(req, asked, "create_floatingip", {"floating_ip_address": None})
    network = networks.get(req.db, asked["floating_network_id"], project_id=req.ctxt.visible_project)
    port = _port(req, asked.get("port_id"))
    made = take(
        req, network, project_id=project_id, description=asked.get("description", ""),
        wanted=Wanted(subnet_id=asked.get("subnet_id"), address=asked.get("floating_ip_address")))
    floating_ips.lead(req.db, made, port, asked.get("fixed_ip_address"))
    return _answer(req, made, {port.device_id} if port else set())


def take(
    req: Request, network: Network, *, project_id: str, description: str = "", wanted: Wanted | None = None
) -> FloatingIp:
    """A new floating address of the network that leads nowhere yet.

    :raises errors.BadRequest: the network is not external. :raises errors.Conflict: over the quota, or none is free.
    """
    if not network.is_external:
        raise errors.BadRequest(
            reason=f"Bad floatingip request: Network {network.id} is not a valid external network.")
    authorization.check_quota(req, project_id, "floating_ips", used=floating_ips.count(req.db, project_id))
    return floating_ips.create(
        req.db, project_id=project_id, network=network, wanted=wanted, description=description, rng=authorization.RNG)


@route("PUT", "/floatingips/{floating_ip_id}", policy=Rule("update_floatingip", MEMBER), body={"2.0": UPDATE})
def update(req: Request, floating_ip_id: str, body: Body) -> Body:
    """Let it lead elsewhere, or nowhere (`port_id` null or left out, unless only the description changes)."""
    asked = body["floatingip"]
    found = floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unsupported(asked, _SUPPORTED)
    touched = {found.port.device_id} if found.port else set()
    if "description" in asked:
        found.description = asked["description"]
    if "port_id" in asked:
        port = _port(req, asked["port_id"])
        floating_ips.lead(req.db, found, port, asked.get("fixed_ip_address"))
        touched |= {port.device_id} if port else set()
    elif asked.get("fixed_ip_address"):
        raise errors.BadRequest(
            reason="Bad floatingip request: fixed_ip_address cannot be specified without a port_id.")
    return _answer(req, found, touched)


@route("DELETE", "/floatingips/{floating_ip_id}", policy=Rule("delete_floatingip", MEMBER), status=204)
def delete(req: Request, floating_ip_id: str) -> None:
    """Give the address back; it leads nowhere from now on."""
    found = floating_ips.get(req.db, floating_ip_id, project_id=req.ctxt.visible_project)
    touched = {found.port.device_id} if found.port else set()
    floating_ips.delete(req.db, found)
    changed(req, touched)


def changed(req: Request, server_ids: set[str]) -> None:
    """After the commit: the servers' hosts, and their guests' documents, learn where floating addresses lead."""
    network_sync.servers(req, server_ids)
    for server_id in sorted(filter(None, server_ids)):
        req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server_id)


def view_all(req: Request, rows: list[FloatingIp]) -> list[Body]:
    """The floating addresses as clients see them; one more query for their routers."""
    routers = floating_ips.router_of(req.db, sorted({row.port.network_id for row in rows if row.port}))
    return [_view(row, routers) for row in rows]


def _view(row: FloatingIp, routers: dict[str, str]) -> Body:
    port = row.port
    details: dict[str, Any] | None = None
    if port is not None:
        details = {
            "name": port.name, "network_id": port.network_id, "mac_address": port.mac_address,
            "admin_state_up": port.admin_state_up, "status": port.status, "device_id": port.device_id,
            "device_owner": port.device_owner}
    return {
        "id": row.id, "tenant_id": row.project_id, "project_id": row.project_id, "description": row.description,
        "floating_network_id": row.network_id, "floating_ip_address": row.address,
        "router_id": routers.get(port.network_id) if port else None,
        "port_id": row.port_id, "fixed_ip_address": row.fixed_address if port else None,
        "status": "ACTIVE" if port else "DOWN", "port_details": details, "qos_policy_id": None, "tags": [],
        "dns_name": "", "dns_domain": "",
        "created_at": schemas.moment(row.created_at), "updated_at": schemas.moment(row.updated_at or row.created_at),
    }


def _answer(req: Request, floating: FloatingIp, touched: set[str]) -> Body:
    changed(req, touched)
    return {"floatingip": view_all(req, [floating_ips.reread(req.db, floating)])[0]}


def _port(req: Request, port_id: str | None) -> Port | None:
    return ports.get(req.db, port_id, project_id=req.ctxt.visible_project) if port_id else None
