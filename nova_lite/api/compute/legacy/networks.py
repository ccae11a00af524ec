# SPDX-License-Identifier: Apache-2.0
"""The proxies to networks, in the two forms that remain of nova-network, up to 2.35; later clients use the network API."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import NULL, STRING, UUID, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.network import networks
from nova_lite.db.network.networks import Network

_UNTIL = "2.35"
# Fields of nova-network that are always null; the second tuple is for admins.
_NULL_FIELDS = ("cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6")
_NULL_FOR_ADMINS = (
    "created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
    "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host",
    "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address",
)
FIELDS = (
    Field("id", lambda network: network.id, UUID),
    Field("label", lambda network: network.name, STRING),
    *(Field(name, lambda _: None, NULL) for name in _NULL_FIELDS),
    *(Field(name, lambda _: None, NULL, role=ADMIN) for name in _NULL_FOR_ADMINS),
)
TENANT_FIELDS = (
    Field("id", lambda network: network.id, UUID),
    Field("cidr", lambda _: "None", {"const": "None"}),
    Field("label", lambda network: network.name, STRING),
)


@route("GET", "/os-networks", policy=Rule("os_compute_api:os-networks:list", READER), until=_UNTIL,
       response=closed(networks=many(FIELDS)))
def index(req: Request) -> Body:
    """List the networks that the project may use. 200."""
    return {"networks": [view(FIELDS, network, req) for network in _find(req)]}


@route("GET", "/os-networks/{network_id}", policy=Rule("os_compute_api:os-networks:show", READER), until=_UNTIL,
       response=closed(network=FIELDS))
def show(req: Request, network_id: str) -> Body:
    """Show one network. 200. 404: no such network for the project."""
    return {"network": view(FIELDS, _get(req, network_id), req)}


@route("GET", "/os-tenant-networks", policy=Rule("os_compute_api:os-tenant-networks:list", READER), until=_UNTIL,
       response=closed(networks=many(TENANT_FIELDS)))
def index_tenant_networks(req: Request) -> Body:
    """List the networks that the project may use, with fewer fields. 200."""
    return {"networks": [view(TENANT_FIELDS, network, req) for network in _find(req)]}


@route("GET", "/os-tenant-networks/{network_id}", policy=Rule("os_compute_api:os-tenant-networks:show", READER),
       until=_UNTIL, response=closed(network=TENANT_FIELDS))
def show_tenant_network(req: Request, network_id: str) -> Body:
    """Show one network with fewer fields. 200. 404: no such network for the project."""
    return {"network": view(TENANT_FIELDS, _get(req, network_id), req)}


def _find(req: Request) -> list[Network]:
    return networks.find(req.db, project_id=req.ctxt.visible_project)


def _get(req: Request, network_id: str) -> Network:
    try:
        return networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.NotFound("Network not found") from None
