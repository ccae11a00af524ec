# SPDX-License-Identifier: Apache-2.0
"""addFloatingIp and removeFloatingIp, up to 2.43: later clients use the Network API."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.network import floating_ips as floating_ip_api
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.network import floating_ips, ports
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ports import Port

_UNTIL = "2.43"
_ADDRESS = {"anyOf": [schemas.IPV4, schemas.IPV6]}
_ADD = schemas.keyed("addFloatingIp", schemas.closed(
    {"address": _ADDRESS, "fixed_address": _ADDRESS}, required=("address",)))
_REMOVE = schemas.keyed("removeFloatingIp", schemas.closed({"address": _ADDRESS}, required=("address",)))


@action("addFloatingIp", policy=Rule("os_compute_api:os-floating-ips:add", MEMBER), until=_UNTIL, body={"2.0": _ADD})
def add(req: Request, body: Body, server_id: str) -> None:
    """Associate the floating IP with a fixed address of the server, by default its first; an older association ends.

    202 with no body. 400: the server has no such fixed address, or it has a floating IP. 404: no such server or floating
    IP in the project.
    """
    server, params = begin_action.find(req, server_id), body["addFloatingIp"]
    server_ports = ports.of_servers(req.db, [server.id])[server.id]
    port, fixed = _fixed(server_ports, params.get("fixed_address"))
    floating = _floating(req, params["address"])
    before = {floating.port.device_id} if floating.port else set()
    try:
        floating_ips.lead(req.db, floating, port, fixed)
    except errors.Conflict as error:
        raise errors.BadRequest(reason=error.text) from None
    floating_ip_api.push_change(req, before | {server.id})


def _fixed(server_ports: list[Port], requested: str | None) -> tuple[Port, str]:
    fixed_ips = [(port, address.address) for port in server_ports for address in port.addresses]
    if not fixed_ips:
        raise errors.BadRequest(reason="No fixed IPs associated to instance")
    for port, address in fixed_ips:
        if requested in (None, address):
            return port, address
    raise errors.BadRequest(reason="Specified fixed address not assigned to instance")


@action("removeFloatingIp", policy=Rule("os_compute_api:os-floating-ips:remove", MEMBER), until=_UNTIL,
        body={"2.0": _REMOVE})
def remove(req: Request, body: Body, server_id: str) -> None:
    """End the association of the floating IP with the server.

    202 with no body. 404: no such server or floating IP in the project. 409: it is not associated with this server.
    """
    server, address = begin_action.find(req, server_id), body["removeFloatingIp"]["address"]
    floating = _floating(req, address)
    if floating.port is None or floating.port.device_id != server.id:
        raise errors.Conflict(reason=f"Floating IP {address} is not associated with instance {server.id}.")
    floating_ips.lead(req.db, floating, None, None)
    floating_ip_api.push_change(req, {server.id})


def _floating(req: Request, address: str) -> FloatingIp:
    """:raises errors.NotFound: the project has no such floating IP."""
    matches = floating_ips.find(
        req.db, project_id=req.ctxt.visible_project, filters={"floating_ip_address": [address]})
    if not matches:
        raise errors.NotFound("floating IP not found")
    return matches[0]
