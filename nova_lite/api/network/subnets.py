# SPDX-License-Identifier: Apache-2.0
"""/subnets: the IPv4 ranges of networks."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    EMPTY_LIST,
    INTEGER,
    NULL,
    STRING,
    STRING_OR_NULL,
    TIME,
    UUID,
    Field,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.network import ip_allocations, networks
from nova_lite.db.network.networks import Network, Subnet

FIELDS = (
    Field("id", lambda s: s.id, UUID),
    Field("name", lambda s: s.name, STRING),
    Field("description", lambda s: s.description, STRING),
    Field("tenant_id", lambda s: s.project_id, STRING),
    Field("project_id", lambda s: s.project_id, STRING),
    Field("network_id", lambda s: s.network_id, UUID),
    Field("ip_version", lambda _: 4, INTEGER),
    Field("cidr", lambda s: s.cidr, STRING),
    Field("gateway_ip", lambda s: s.gateway, STRING_OR_NULL),
    Field("allocation_pools", lambda s: [{"start": first, "end": last} for first, last in s.pools], many(closed(start=STRING, end=STRING))),
    Field("enable_dhcp", lambda s: s.enable_dhcp, BOOLEAN),
    Field("dns_nameservers", lambda s: s.dns_nameservers, many(STRING)),
    Field("host_routes", lambda s: s.host_routes, EMPTY_LIST),
    Field("ipv6_address_mode", lambda _: None, NULL),
    Field("ipv6_ra_mode", lambda _: None, NULL),
    Field("subnetpool_id", lambda _: None, NULL),
    Field("service_types", lambda _: [], EMPTY_LIST),
    Field("tags", lambda s: s.tags or [], many(STRING)),
    Field("created_at", lambda s: schemas.moment(s.created_at), TIME),
    Field("updated_at", lambda s: schemas.moment(s.updated_at or s.created_at), TIME),
)
# 0/8 and 240/4 are not unicast (RFC 6890); 169.254.169.254 is the metadata service's.
_RESERVED = tuple(
    ipaddress.IPv4Network(cidr)
    for cidr in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)
_SUPPORTED: dict[str, object] = {
    "host_routes": [],
    "subnetpool_id": None,
    "ipv6_ra_mode": None,
    "ipv6_address_mode": None,
    "service_types": [],
    "segment_id": None,
    "prefixlen": None,
    "use_default_subnetpool": False,
}
_POOLS: schemas.Schema = {
    "type": "array",
    "maxItems": 64,
    "items": {
        "type": "object",
        "required": ["start", "end"],
        "additionalProperties": False,
        "properties": {"start": schemas.ADDRESS, "end": schemas.ADDRESS},
    },
}
_CHANGEABLE: schemas.Schema = {
    "name": schemas.TEXT,
    "description": schemas.TEXT,
    "gateway_ip": schemas.maybe(schemas.ADDRESS),
    "allocation_pools": schemas.maybe(_POOLS),
    "enable_dhcp": schemas.BOOL,
    "service_types": {"type": "array"},
    "dns_nameservers": schemas.maybe({"type": "array", "maxItems": 5, "items": schemas.ADDRESS}),
    "host_routes": schemas.maybe({"type": "array"}),
}
CREATE = schemas.new_body(
    "subnet",
    {
        **_CHANGEABLE,
        **schemas.OWNER,
        "network_id": schemas.UUID,
        "ip_version": schemas.NUMBER,
        "cidr": schemas.maybe(schemas.ADDRESS),
        "subnetpool_id": schemas.maybe(schemas.TEXT),
        "segment_id": schemas.maybe(schemas.TEXT),
        "prefixlen": schemas.maybe(schemas.NUMBER),
        "use_default_subnetpool": schemas.BOOL,
        "ipv6_ra_mode": schemas.maybe(schemas.TEXT),
        "ipv6_address_mode": schemas.maybe(schemas.TEXT),
    },
    required=("network_id",),
)
UPDATE = schemas.body("subnet", _CHANGEABLE)


@route("GET", "/subnets", policy=Rule("get_subnets", READER), response=schemas.listed("subnets", FIELDS))
def index(req: Request) -> Body:
    """List the subnets of the networks that the project may see.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    query = listing.read(req, networks.SUBNET_COLUMNS, constants={"ip_version": "4"})
    rows = (
        []
        if query.is_empty
        else networks.find_subnets(
            req.db, project_id=req.ctxt.visible_project, filters=query.filters, page=query.page
        )
    )
    return listing.write(req, "subnets", rows, query, lambda row: view(FIELDS, row, req))


@route("GET", "/subnets/{subnet_id}", policy=Rule("get_subnet", READER), response=schemas.shown("subnet", FIELDS))
def show(req: Request, subnet_id: str) -> Body:
    """Show one subnet. 200. 404: no such subnet, or not visible to the project."""
    subnet = networks.get_subnet(req.db, subnet_id, project_id=req.ctxt.visible_project)
    return {"subnet": listing.only_fields(req, view(FIELDS, subnet, req))}


@route(
    "POST", "/subnets", policy=Rule("create_subnet", MEMBER), status=201, body={"2.0": CREATE}, response=schemas.made("subnet", FIELDS)
)
def create(req: Request, body: Body) -> Body:
    """Create an IPv4 subnet, or `subnets`, all or none; by default its gateway is the first address and its pool all others.

    201. 400: no or a wrong CIDR, gateway, pool or DNS server, a range that overlaps another subnet, or an attribute that is not
    supported. 403: not the network's owner. 404: no such network. 409: the quota is exceeded, or pools overlap each other or
    the gateway.
    """
    return schemas.create(body, "subnet", functools.partial(_create, req), lock=functools.partial(_lock, req))


def _lock(req: Request, items: Sequence[Body]) -> None:
    networks.lock_ranges(req.db, [_own_network(req, network_id) for network_id in {params["network_id"] for params in items}])
    authorization.lock_quotas(req, items)


def _own_network(req: Request, network_id: str) -> Network:
    network = networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, network.project_id, "create_subnet")
    return network


def _create(req: Request, params: Body) -> Body:
    project_id = authorization.project_of(req, params)
    network = _own_network(req, params["network_id"])
    if schemas.number(params, "ip_version", minimum=4, maximum=6) not in (None, 4):
        raise errors.BadRequest(
            reason="Invalid input for ip_version. Reason: only IPv4 subnets are supported yet."
        )
    authorization.refuse_unsupported(params, _SUPPORTED)
    networks.lock_ranges(req.db, [network])
    authorization.check_quota(req, project_id, "subnets", used=networks.count_subnets)
    block = _block(req, params.get("cidr"))
    gateway = _gateway(block, params["gateway_ip"]) if "gateway_ip" in params else block.network_address + 1
    subnet = Subnet(
        id=new_id(),
        network_id=network.id,
        project_id=project_id,
        name=params.get("name", ""),
        description=params.get("description", ""),
        cidr=str(block),
        gateway=None if gateway is None else str(gateway),
        enable_dhcp=params.get("enable_dhcp", True),
        dns_nameservers=_name_servers(params),
        host_routes=[],
        pools=_pools(block, gateway, params.get("allocation_pools")),
    )
    networks.add_subnet(req.db, network, subnet)
    network_sync.network(req, network.id)
    return view(FIELDS, subnet, req)


@route(
    "PUT", "/subnets/{subnet_id}", policy=Rule("update_subnet", MEMBER), body={"2.0": UPDATE}, response=closed(subnet=FIELDS)
)
def update(req: Request, subnet_id: str, body: Body) -> Body:
    """Change a subnet, its CIDR excepted; hosts apply it at once, guests by DHCP.

    200. 400: a wrong gateway, pool or DNS server, or an attribute that is not supported. 403: not the network's owner. 404: no
    such subnet. 409: a port has the new gateway address, or pools overlap.
    """
    params = body["subnet"]
    subnet = _own(req, subnet_id, "update_subnet")
    authorization.refuse_unsupported(params, _SUPPORTED)
    block = ipaddress.IPv4Network(subnet.cidr)
    if "gateway_ip" in params:
        gateway = _gateway(block, params["gateway_ip"])
        if gateway is not None and ip_allocations.is_taken(req.db, subnet.id, str(gateway)):
            raise errors.Conflict(reason=f"Gateway ip {gateway} in use by a port of subnet {subnet.id}.")
        subnet.gateway = None if gateway is None else str(gateway)
    if params.get("allocation_pools") is not None or "gateway_ip" in params:
        pools = params.get("allocation_pools")
        pools = [{"start": first, "end": last} for first, last in subnet.pools] if pools is None else pools
        gateway = None if subnet.gateway is None else ipaddress.IPv4Address(subnet.gateway)
        subnet.pools = _pools(block, gateway, pools)
    if "dns_nameservers" in params:
        subnet.dns_nameservers = _name_servers(params)
    for name in ("name", "description", "enable_dhcp"):
        if name in params:
            setattr(subnet, name, params[name])
    req.db.flush()
    network_sync.network(req, subnet.network_id)
    return {"subnet": view(FIELDS, subnet, req)}


@route("DELETE", "/subnets/{subnet_id}", policy=Rule("delete_subnet", MEMBER), status=204)
def delete(req: Request, subnet_id: str) -> None:
    """Delete a subnet without allocated addresses. 204. 403: not the owner. 404: no such subnet. 409: ports have its addresses."""
    subnet = _own(req, subnet_id, "delete_subnet")
    networks.delete_subnet(req.db, subnet)
    network_sync.network(req, subnet.network_id)


def _own(req: Request, subnet_id: str, rule: str) -> Subnet:
    subnet = networks.get_subnet(req.db, subnet_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, subnet.project_id, rule)
    return subnet


def _block(req: Request, text: str | None) -> ipaddress.IPv4Network:
    """The requested range; host bits are dropped, as in Neutron."""
    if text is None:
        raise errors.BadRequest(
            reason="Bad subnets request: a cidr is required, since this cloud has no "
            "subnetpools."
        )
    try:
        block = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise errors.BadRequest(
            reason=f"Invalid input for cidr. Reason: '{text}' is not a valid IPv4 subnet."
        ) from None
    if not 8 <= block.prefixlen <= 30:
        raise errors.BadRequest(
            reason=f"Invalid input for cidr. Reason: the prefix of {block} is not from 8 to 30."
        )
    transit = ipaddress.IPv4Network(req.conf.network.transit_cidr)
    for reserved in (*_RESERVED, transit):
        if block.overlaps(reserved):
            raise errors.BadRequest(
                reason=f"Invalid input for cidr. Reason: {block} overlaps {reserved}, which is reserved."
            )
    return block


def _gateway(block: ipaddress.IPv4Network, text: str | None) -> ipaddress.IPv4Address | None:
    if text is None:
        return None
    gateway = _address("gateway_ip", text)
    if not _is_usable(block, gateway):
        raise errors.BadRequest(
            reason=f"Invalid input for gateway_ip. Reason: {gateway} is not a host address of {block}."
        )
    return gateway


def _is_usable(block: ipaddress.IPv4Network, address: ipaddress.IPv4Address) -> bool:
    return address in block and address not in (block.network_address, block.broadcast_address)


def _address(field: str, text: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise errors.BadRequest(
            reason=f"Invalid input for {field}. Reason: '{text}' is not a valid IPv4 address."
        ) from None


def _name_servers(params: Body) -> list[str]:
    servers = [str(_address("dns_nameservers", text)) for text in params.get("dns_nameservers") or []]
    if len(set(servers)) != len(servers):
        raise errors.BadRequest(
            reason="Invalid input for dns_nameservers. Reason: an address occurs twice."
        )
    return servers


def _pools(
    block: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address | None, pools: list[dict[str, str]] | None
) -> list[list[str]]:
    """[first, last] pairs: the requested pools, or every host address but the gateway's."""
    if pools is None:
        return _all_but(block, gateway)
    ranges = sorted(
        (_address("allocation_pools", pool["start"]), _address("allocation_pools", pool["end"]))
        for pool in pools
    )
    for first, last in ranges:
        if first > last or not _is_usable(block, first) or not _is_usable(block, last):
            raise errors.BadRequest(
                reason=f"Invalid input for allocation_pools. Reason: {first}-{last} is not a "
                f"range of host addresses of {block}."
            )
        if gateway is not None and first <= gateway <= last:
            raise errors.Conflict(
                reason=f"Gateway ip {gateway} conflicts with allocation pool {first}-{last}."
            )
    for (_, last), (first, _) in zip(ranges, ranges[1:], strict=False):
        if first <= last:
            raise errors.Conflict(reason=f"Found overlapping allocation pools at {first} for subnet {block}.")
    return [[str(first), str(last)] for first, last in ranges]


def _all_but(block: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address | None) -> list[list[str]]:
    first, last = block.network_address + 1, block.broadcast_address - 1
    if gateway is None:
        return [[str(first), str(last)]]
    ranges = [(first, gateway - 1), (gateway + 1, last)]
    return [[str(low), str(high)] for low, high in ranges if low <= high]
