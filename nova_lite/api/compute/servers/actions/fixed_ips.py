# SPDX-License-Identifier: Apache-2.0
"""One more fixed address for a server's port, or one less; gone after 2.43, where the network API does it."""

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
from nova_lite.db.network import networks, ports
from nova_lite.db.network.ip_allocations import Wanted
from nova_lite.db.network.ports import Port

_UNTIL = "2.43"
_ADD = schemas.keyed("addFixedIp", schemas.closed(
    {"networkId": {"type": ["string", "number"], "minLength": 1, "maxLength": 255}}, required=("networkId",)))
_REMOVE = schemas.keyed("removeFixedIp", schemas.closed(
    {"address": {"anyOf": [schemas.IPV4, schemas.IPV6]}}, required=("address",)))


@action("addFixedIp", policy=Rule("os_compute_api:os-multinic:add", MEMBER), until=_UNTIL, body={"2.0": _ADD})
def add(req: Request, body: Body, server_id: str) -> None:
    """Give the server's port on the network one more address.

    :raises errors.NotFound: the server is not on the network. :raises errors.BadRequest: the network has none left.
    """
    server, network_id = _mine(req, server_id), str(body["addFixedIp"]["networkId"])
    for port in ports.of_servers(req.db, [server.id])[server.id]:
        if port.network_id == network_id:
            return _readdress(req, port, [*_kept(port), Wanted()])
    raise errors.NotFound(f"Network {network_id} could not be found for instance {server_id}.")


@action("removeFixedIp", policy=Rule("os_compute_api:os-multinic:remove", MEMBER), until=_UNTIL,
        body={"2.0": _REMOVE})
def remove(req: Request, body: Body, server_id: str) -> None:
    """Take the address from the server's port.

    :raises errors.BadRequest: the server does not have it.
    """
    server, address = _mine(req, server_id), body["removeFixedIp"]["address"]
    for port in ports.of_servers(req.db, [server.id])[server.id]:
        if any(held.address == address for held in port.addresses):
            return _readdress(req, port, [kept for kept in _kept(port) if kept.address != address])
    raise errors.BadRequest(reason=f"Fixed IP {address} not found for instance {server_id}.")


def _mine(req: Request, server_id: str) -> Server:
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    return server


def _kept(port: Port) -> list[Wanted]:
    return [Wanted(subnet_id=held.subnet_id, address=held.address) for held in port.addresses]


def _readdress(req: Request, port: Port, wanted: list[Wanted]) -> None:
    """Change the port's addresses; its host, and those that filter by its groups, learn of it."""
    try:
        ports.readdress(req.db, port, network=networks.get(req.db, port.network_id), wanted=wanted, rng=RNG)
    except errors.NoCapacity as full:
        raise errors.BadRequest(reason=full.text) from None
    network_sync.groups(req, [member.group_id for member in port.security_groups])
    network_sync.servers(req, [str(port.device_id)])
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=str(port.device_id))
