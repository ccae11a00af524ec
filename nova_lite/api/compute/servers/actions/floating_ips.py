# SPDX-License-Identifier: Apache-2.0
"""A floating address led to a server, and away from it; gone after 2.43, where the network API does it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.network import floating_ips as network_face
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
    """Let the address lead to the server's fixed one, by default its first; it may lead elsewhere now.

    :raises errors.NotFound: no such floating address. :raises errors.BadRequest: the server has no such fixed one.
    """
    server, asked = begin_action.find(req, server_id), body["addFloatingIp"]
    plugged = ports.of_servers(req.db, [server.id])[server.id]
    port, fixed = _fixed(plugged, asked.get("fixed_address"))
    floating = _floating(req, asked["address"])
    before = {floating.port.device_id} if floating.port else set()
    try:
        floating_ips.lead(req.db, floating, port, fixed)
    except errors.Conflict as taken:
        raise errors.BadRequest(reason=taken.text) from None
    network_face.push_change(req, before | {server.id})


def _fixed(plugged: list[Port], wanted: str | None) -> tuple[Port, str]:
    held = [(port, address.address) for port in plugged for address in port.addresses]
    if not held:
        raise errors.BadRequest(reason="No fixed IPs associated to instance")
    for port, address in held:
        if wanted in (None, address):
            return port, address
    raise errors.BadRequest(reason="Specified fixed address not assigned to instance")


@action("removeFloatingIp", policy=Rule("os_compute_api:os-floating-ips:remove", MEMBER), until=_UNTIL,
        body={"2.0": _REMOVE})
def remove(req: Request, body: Body, server_id: str) -> None:
    """Let the address lead nowhere.

    :raises errors.NotFound: no such floating address. :raises errors.Conflict: it does not lead to this server.
    """
    server, address = begin_action.find(req, server_id), body["removeFloatingIp"]["address"]
    floating = _floating(req, address)
    if floating.port is None or floating.port.device_id != server.id:
        raise errors.Conflict(reason=f"Floating IP {address} is not associated with instance {server.id}.")
    floating_ips.lead(req.db, floating, None, None)
    network_face.push_change(req, {server.id})


def _floating(req: Request, address: str) -> FloatingIp:
    """:raises errors.NotFound: the caller has no such floating address."""
    found = floating_ips.find(
        req.db, project_id=req.ctxt.visible_project, filters={"floating_ip_address": [address]})
    if not found:
        raise errors.NotFound("floating IP not found")
    return found[0]
