# SPDX-License-Identifier: Apache-2.0
"""addFixedIp and removeFixedIp, up to 2.43: later clients use the Network API."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.network import network_sync
from nova_lite.api.network.authorization import RNG
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute.servers import Server
from nova_lite.db.network import floating_ips, networks, ports
from nova_lite.db.network.ip_allocations import Wanted as RequestedAddress
from nova_lite.db.network.ports import Port

_UNTIL = "2.43"
_ADD = schemas.keyed("addFixedIp", schemas.closed(
    {"networkId": {"type": ["string", "number"], "minLength": 1, "maxLength": 255}}, required=("networkId",)))
_REMOVE = schemas.keyed("removeFixedIp", schemas.closed(
    {"address": {"anyOf": [schemas.IPV4, schemas.IPV6]}}, required=("address",)))


@action("addFixedIp", policy=Rule("os_compute_api:os-multinic:add", MEMBER), until=_UNTIL, body={"2.0": _ADD})
def add(req: Request, body: Body, server_id: str) -> None:
    """Add a free address to the server's port on the network.

    202 with no body. 400: the network has no free address. 404: no such server in the project, or it has no port on the
    network. 409: the server is locked.
    """
    server, network_id = _unlocked(req, server_id), str(body["addFixedIp"]["networkId"])
    for port in ports.of_servers(req.db, [server.id])[server.id]:
        if port.network_id == network_id:
            return _readdress(req, port, [*_addresses(port), RequestedAddress()])
    raise errors.NotFound(f"Network {network_id} could not be found for instance {server_id}.")


@action("removeFixedIp", policy=Rule("os_compute_api:os-multinic:remove", MEMBER), until=_UNTIL,
        body={"2.0": _REMOVE})
def remove(req: Request, body: Body, server_id: str) -> None:
    """Remove the address from the server's port.

    202 with no body. 400: the server does not have the address. 404: no such server in the project. 409: it is locked, or a
    floating IP leads to the address.
    """
    server, address = _unlocked(req, server_id), body["removeFixedIp"]["address"]
    for port in ports.of_servers(req.db, [server.id])[server.id]:
        if any(fixed_ip.address == address for fixed_ip in port.addresses):
            return _readdress(req, port, [remaining for remaining in _addresses(port) if remaining.address != address])
    raise errors.BadRequest(reason=f"Fixed IP {address} not found for instance {server_id}.")


def _unlocked(req: Request, server_id: str) -> Server:
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    return server


def _addresses(port: Port) -> list[RequestedAddress]:
    return [RequestedAddress(subnet_id=fixed_ip.subnet_id, address=fixed_ip.address) for fixed_ip in port.addresses]


def _readdress(req: Request, port: Port, addresses: list[RequestedAddress]) -> None:
    """Change the port's addresses, and push that to its host and to hosts that filter by its security groups."""
    try:
        ports.readdress(req.db, port, network=networks.get(req.db, port.network_id), wanted=addresses, rng=RNG)
        floating_ips.refuse_orphans(req.db, port)
    except errors.NoCapacity as error:
        raise errors.BadRequest(reason=error.text) from None
    network_sync.servers(req, [str(port.device_id)])
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=str(port.device_id))
