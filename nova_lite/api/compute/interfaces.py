# SPDX-License-Identifier: Apache-2.0
"""NICs of one server."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute import asking
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import READER, Field, Rule, route, view
from nova_lite.db import ports
from nova_lite.db.ports import Port

FIELDS = (
    Field("port_id", lambda port: port.id),
    Field("net_id", lambda port: port.network_id),
    Field("mac_addr", lambda port: port.mac_address),
    Field("port_state", lambda port: port.status),
    Field("fixed_ips", lambda port: [
        {"subnet_id": address.subnet_id, "ip_address": address.address} for address in port.addresses]),
    Field("tag", lambda _: None, since="2.70"),
)


def _ports(req: Request, server_id: str) -> list[Port]:
    server = asking.find(req, server_id)
    return ports.of_servers(req.db, [server.id])[server.id]


@route("GET", "/servers/{server_id}/os-interface", policy=Rule("os_compute_api:os-attach-interfaces:list", READER))
def index(req: Request, server_id: str) -> Body:
    """All NICs, in the order in which the guest has them."""
    return {"interfaceAttachments": [view(FIELDS, port, req) for port in _ports(req, server_id)]}


@route("GET", "/servers/{server_id}/os-interface/{port_id}",
       policy=Rule("os_compute_api:os-attach-interfaces:show", READER))
def show(req: Request, server_id: str, port_id: str) -> Body:
    """The NIC of one port."""
    for port in _ports(req, server_id):
        if port.id == port_id:
            return {"interfaceAttachment": view(FIELDS, port, req)}
    raise errors.NotFound(f"Instance {server_id} does not have a port with id {port_id}")
