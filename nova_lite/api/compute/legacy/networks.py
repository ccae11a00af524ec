# SPDX-License-Identifier: Apache-2.0
"""Networks through the compute API, in two forms that remain of nova-network; gone after 2.35."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.network import networks
from nova_lite.db.network.networks import Network

_UNTIL = "2.35"
# Fields that had a meaning with nova-network; the second tuple is for admins.
_EMPTY = ("cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6")
_EMPTY_OF_ADMINS = (
    "created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
    "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host",
    "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address",
)
FIELDS = (
    Field("id", lambda network: network.id),
    Field("label", lambda network: network.name),
    *(Field(name, lambda _: None) for name in _EMPTY),
    *(Field(name, lambda _: None, role=ADMIN) for name in _EMPTY_OF_ADMINS),
)
TENANT_FIELDS = (
    Field("id", lambda network: network.id),
    Field("cidr", lambda _: "None"),
    Field("label", lambda network: network.name),
)


@route("GET", "/os-networks", policy=Rule("os_compute_api:os-networks:list", READER), until=_UNTIL)
def index(req: Request) -> Body:
    """The networks that the caller may see."""
    return {"networks": [view(FIELDS, network, req) for network in _all(req)]}


@route("GET", "/os-networks/{network_id}", policy=Rule("os_compute_api:os-networks:show", READER), until=_UNTIL)
def show(req: Request, network_id: str) -> Body:
    """One network."""
    return {"network": view(FIELDS, _one(req, network_id), req)}


@route("GET", "/os-tenant-networks", policy=Rule("os_compute_api:os-tenant-networks:list", READER), until=_UNTIL)
def index_of_tenant(req: Request) -> Body:
    """The networks that the caller may see, with less of each."""
    return {"networks": [view(TENANT_FIELDS, network, req) for network in _all(req)]}


@route("GET", "/os-tenant-networks/{network_id}", policy=Rule("os_compute_api:os-tenant-networks:show", READER),
       until=_UNTIL)
def show_of_tenant(req: Request, network_id: str) -> Body:
    """One network, with less of it."""
    return {"network": view(TENANT_FIELDS, _one(req, network_id), req)}


def _all(req: Request) -> list[Network]:
    return networks.find(req.db, project_id=req.ctxt.visible_project)


def _one(req: Request, network_id: str) -> Network:
    try:
        return networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.NotFound("Network not found") from None
