# SPDX-License-Identifier: Apache-2.0
"""/subnets: the IPv4 ranges of networks."""

from __future__ import annotations

import ipaddress

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import MEMBER, READER, Field, Rule, route, view
from nova_lite.db.base import new_id
from nova_lite.db.network import ip_allocations, networks
from nova_lite.db.network.networks import Subnet

FIELDS = (
    Field("id", lambda s: s.id),
    Field("name", lambda s: s.name),
    Field("description", lambda s: s.description),
    Field("tenant_id", lambda s: s.project_id),
    Field("project_id", lambda s: s.project_id),
    Field("network_id", lambda s: s.network_id),
    Field("ip_version", lambda _: 4),
    Field("cidr", lambda s: s.cidr),
    Field("gateway_ip", lambda s: s.gateway),
    Field("allocation_pools", lambda s: [{"start": first, "end": last} for first, last in s.pools]),
    Field("enable_dhcp", lambda s: s.enable_dhcp),
    Field("dns_nameservers", lambda s: s.dns_nameservers),
    Field("host_routes", lambda s: s.host_routes),
    Field("ipv6_address_mode", lambda _: None),
    Field("ipv6_ra_mode", lambda _: None),
    Field("subnetpool_id", lambda _: None),
    Field("service_types", lambda _: []),
    Field("tags", lambda _: []),
    Field("created_at", lambda s: schemas.moment(s.created_at)),
    Field("updated_at", lambda s: schemas.moment(s.updated_at or s.created_at)),
)
# 0/8 and 240/4 are no unicast (RFC 6890); 169.254.169.254 is the metadata service's.
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
CREATE = schemas.body(
    "subnet",
    {
        **_CHANGEABLE,
        **schemas.OWNER,
        "network_id": schemas.UUID,
        "ip_version": {"type": "integer"},
        "cidr": schemas.maybe(schemas.ADDRESS),
        "subnetpool_id": schemas.maybe(schemas.TEXT),
        "segment_id": schemas.maybe(schemas.TEXT),
        "prefixlen": schemas.maybe({"type": "integer"}),
        "use_default_subnetpool": schemas.BOOL,
        "ipv6_ra_mode": schemas.maybe(schemas.TEXT),
        "ipv6_address_mode": schemas.maybe(schemas.TEXT),
    },
    required=("network_id",),
)
UPDATE = schemas.body("subnet", _CHANGEABLE)


@route("GET", "/subnets", policy=Rule("get_subnets", READER))
def index(req: Request) -> Body:
    """Subnets of the networks that the caller may see."""
    asked = listing.read(req, networks.SUBNET_COLUMNS, constants={"ip_version": "4"})
    rows = (
        []
        if asked.is_empty
        else networks.find_subnets(
            req.db, project_id=req.ctxt.visible_project, filters=asked.filters, page=asked.page
        )
    )
    return listing.write(req, "subnets", rows, asked, lambda row: view(FIELDS, row, req))


@route("GET", "/subnets/{subnet_id}", policy=Rule("get_subnet", READER))
def show(req: Request, subnet_id: str) -> Body:
    """One subnet."""
    subnet = networks.get_subnet(req.db, subnet_id, project_id=req.ctxt.visible_project)
    return {"subnet": listing.only_fields(req, view(FIELDS, subnet, req))}


@route("POST", "/subnets", policy=Rule("create_subnet", MEMBER), status=201, body={"2.0": CREATE})
def create(req: Request, body: Body) -> Body:
    """A new subnet of an own network: gateway the first address and pools all others, unless said."""
    asked = body["subnet"]
    project_id = authorization.project_of(req, asked)
    network = networks.get(req.db, asked["network_id"], project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, network.project_id, "create_subnet")
    if asked.get("ip_version", 4) != 4:
        raise errors.BadRequest(
            reason="Invalid input for ip_version. Reason: only IPv4 subnets are supported yet."
        )
    authorization.refuse_unsupported(asked, _SUPPORTED)
    authorization.check_quota(req, project_id, "subnets", used=networks.count_subnets(req.db, project_id))
    block = _block(req, asked.get("cidr"))
    gateway = _gateway(block, asked["gateway_ip"]) if "gateway_ip" in asked else block.network_address + 1
    subnet = Subnet(
        id=new_id(),
        network_id=network.id,
        project_id=project_id,
        name=asked.get("name", ""),
        description=asked.get("description", ""),
        cidr=str(block),
        gateway=None if gateway is None else str(gateway),
        enable_dhcp=asked.get("enable_dhcp", True),
        dns_nameservers=_name_servers(asked),
        host_routes=[],
        pools=_pools(block, gateway, asked.get("allocation_pools")),
    )
    networks.add_subnet(req.db, network, subnet)
    network_sync.network(req, network.id)
    return {"subnet": view(FIELDS, subnet, req)}


@route("PUT", "/subnets/{subnet_id}", policy=Rule("update_subnet", MEMBER), body={"2.0": UPDATE})
def update(req: Request, subnet_id: str, body: Body) -> Body:
    """Change all but the range; hosts learn of it, guests by DHCP."""
    asked = body["subnet"]
    subnet = _own(req, subnet_id, "update_subnet")
    authorization.refuse_unsupported(asked, _SUPPORTED)
    block = ipaddress.IPv4Network(subnet.cidr)
    if "gateway_ip" in asked:
        gateway = _gateway(block, asked["gateway_ip"])
        if gateway is not None and ip_allocations.is_taken(req.db, subnet.id, str(gateway)):
            raise errors.Conflict(reason=f"Gateway ip {gateway} in use by a port of subnet {subnet.id}.")
        subnet.gateway = None if gateway is None else str(gateway)
    if asked.get("allocation_pools") is not None or "gateway_ip" in asked:
        pools = asked.get("allocation_pools")
        pools = [{"start": first, "end": last} for first, last in subnet.pools] if pools is None else pools
        gateway = None if subnet.gateway is None else ipaddress.IPv4Address(subnet.gateway)
        subnet.pools = _pools(block, gateway, pools)
    if "dns_nameservers" in asked:
        subnet.dns_nameservers = _name_servers(asked)
    for name in ("name", "description", "enable_dhcp"):
        if name in asked:
            setattr(subnet, name, asked[name])
    req.db.flush()
    network_sync.network(req, subnet.network_id)
    return {"subnet": view(FIELDS, subnet, req)}


@route("DELETE", "/subnets/{subnet_id}", policy=Rule("delete_subnet", MEMBER), status=204)
def delete(req: Request, subnet_id: str) -> None:
    """Remove a subnet that no port has an address of."""
    subnet = _own(req, subnet_id, "delete_subnet")
    networks.delete_subnet(req.db, subnet)
    network_sync.network(req, subnet.network_id)


def _own(req: Request, subnet_id: str, rule: str) -> Subnet:
    subnet = networks.get_subnet(req.db, subnet_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, subnet.project_id, rule)
    return subnet


def _block(req: Request, text: str | None) -> ipaddress.IPv4Network:
    """The range asked for, as its network address; host bits are dropped, as Neutron does."""
    if text is None:
        raise errors.BadRequest(
            reason="Bad subnets request: a subnetpool or a cidr must be given; there are no "
            "subnetpools here, so give a cidr."
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
            reason=f"Invalid input for gateway_ip. Reason: {gateway} is no host address of {block}."
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


def _name_servers(asked: Body) -> list[str]:
    servers = [str(_address("dns_nameservers", text)) for text in asked.get("dns_nameservers") or []]
    if len(set(servers)) != len(servers):
        raise errors.BadRequest(
            reason="Invalid input for dns_nameservers. Reason: an address is there twice."
        )
    return servers


def _pools(
    block: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address | None, asked: list[dict[str, str]] | None
) -> list[list[str]]:
    """[first, last] pairs: as asked for, else every host address but the gateway's."""
    if asked is None:
        return _all_but(block, gateway)
    ranges = sorted(
        (_address("allocation_pools", pool["start"]), _address("allocation_pools", pool["end"]))
        for pool in asked
    )
    for first, last in ranges:
        if first > last or not _is_usable(block, first) or not _is_usable(block, last):
            raise errors.BadRequest(
                reason=f"Invalid input for allocation_pools. Reason: {first}-{last} is no range "
                f"of host addresses of {block}."
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
    around = [(first, gateway - 1), (gateway + 1, last)]
    return [[str(low), str(high)] for low, high in around if low <= high]
