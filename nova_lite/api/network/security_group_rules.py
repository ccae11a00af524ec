# SPDX-License-Identifier: Apache-2.0
"""/security-group-rules: the traffic that a group allows."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    EMPTY_LIST,
    INTEGER_OR_NULL,
    NULL,
    STRING,
    STRING_OR_NULL,
    TIME,
    UUID,
    Field,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.base import new_id
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import ETHERTYPES, SecurityGroupRule

FIELDS = (
    Field("id", lambda r: r.id, UUID),
    Field("description", lambda r: r.description, STRING),
    Field("tenant_id", lambda r: r.project_id, STRING),
    Field("project_id", lambda r: r.project_id, STRING),
    Field("security_group_id", lambda r: r.group_id, UUID),
    Field("direction", lambda r: r.direction, STRING),
    Field("ethertype", lambda r: r.ethertype, STRING),
    Field("protocol", lambda r: r.protocol, STRING_OR_NULL),
    Field("port_range_min", lambda r: r.port_min, INTEGER_OR_NULL),
    Field("port_range_max", lambda r: r.port_max, INTEGER_OR_NULL),
    Field("remote_ip_prefix", lambda r: r.remote_cidr, STRING_OR_NULL),
    Field("normalized_cidr", lambda r: str(ipaddress.ip_network(r.remote_cidr, strict=False)) if r.remote_cidr else None, STRING_OR_NULL),
    Field("remote_group_id", lambda r: r.remote_group_id, STRING_OR_NULL),
    Field("remote_address_group_id", lambda _: None, NULL),
    Field("belongs_to_default_sg", lambda _: None, NULL),
    Field("tags", lambda _: [], EMPTY_LIST),
    Field("created_at", lambda r: schemas.moment(r.created_at), TIME),
    Field("updated_at", lambda r: schemas.moment(r.updated_at or r.created_at), TIME),
)
_ICMP = frozenset({"icmp", "1", "icmpv6", "ipv6-icmp", "58"})
_WITH_PORTS = frozenset({"tcp", "6", "udp", "17", "dccp", "33", "sctp", "132", "udplite", "136"})
# Names that Neutron accepts; network/linux/nft_rules.py has the same.
_NAMES = (
    _ICMP
    | _WITH_PORTS
    | {
        "ah",
        "egp",
        "esp",
        "gre",
        "igmp",
        "ipip",
        "ospf",
        "pgm",
        "rsvp",
        "vrrp",
        "ipv6-encap",
        "ipv6-frag",
        "ipv6-nonxt",
        "ipv6-opts",
        "ipv6-route",
    }
)
_PORT: schemas.Schema = schemas.maybe({"type": ["integer", "string"]})
CREATE = schemas.new_body(
    "security_group_rule",
    {
        **schemas.OWNER,
        "security_group_id": schemas.UUID,
        "direction": {"enum": ["ingress", "egress"]},
        "ethertype": schemas.maybe(schemas.TEXT),
        "protocol": schemas.maybe({"type": ["integer", "string"]}),
        "port_range_min": _PORT,
        "port_range_max": _PORT,
        "remote_ip_prefix": schemas.maybe(schemas.ADDRESS),
        # Any text, as in Neutron: what is no group's id is 404.
        "remote_group_id": schemas.maybe({"type": "string", "maxLength": 255}),
        "remote_address_group_id": schemas.NULL,
        "description": schemas.TEXT,
    },
    required=("security_group_id", "direction"),
)


@route(
    "GET", "/security-group-rules", policy=Rule("get_security_group_rules", READER),
    response=schemas.listed("security_group_rules", FIELDS),
)
def index(req: Request) -> Body:
    """List the project's rules.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    query = listing.read(req, security_groups.RULE_COLUMNS)
    rows = security_groups.find_rules(
        req.db, project_id=req.ctxt.visible_project, filters=query.filters, page=query.page
    )
    return listing.write(req, "security_group_rules", rows, query, lambda row: view(FIELDS, row, req))


@route(
    "GET", "/security-group-rules/{rule_id}", policy=Rule("get_security_group_rule", READER),
    response=schemas.shown("security_group_rule", FIELDS),
)
def show(req: Request, rule_id: str) -> Body:
    """Show one rule. 200. 404: no such rule in the project."""
    rule = security_groups.get_rule(req.db, rule_id, project_id=req.ctxt.visible_project)
    return {"security_group_rule": listing.only_fields(req, view(FIELDS, rule, req))}


@route(
    "POST",
    "/security-group-rules",
    policy=Rule("create_security_group_rule", MEMBER),
    status=201,
    body={"2.0": CREATE},
    response=schemas.made("security_group_rule", FIELDS),
)
def create(req: Request, body: Body) -> Body:
    """Create a rule in a group of the project, or `security_group_rules`, all or none; hosts apply them at once.

    201. 400: a protocol, port range, prefix or combination of them that is not valid. 403: another project's by a caller who is
    no admin. 404: no such group or remote group. 409: the quota is exceeded, or the rule exists.
    """
    return schemas.create(body, "security_group_rule", functools.partial(_create, req), lock=functools.partial(_lock, req))


def _lock(req: Request, items: Sequence[Body]) -> None:
    group_ids = [params["security_group_id"] for params in items]
    authorization.lock_quotas_of(req, security_groups.projects_of(req.db, group_ids, project_id=req.ctxt.visible_project))


def _create(req: Request, params: Body) -> Body:
    authorization.project_of(req, params)
    group = security_groups.get(req.db, params["security_group_id"], project_id=req.ctxt.visible_project)
    authorization.check_quota(
        req,
        group.project_id,
        "security_group_rules",
        used=security_groups.count_rules,
    )
    rule = _rule(req, params, group.project_id)
    security_groups.add_rule(req.db, rule)
    network_sync.push(req)
    return view(FIELDS, rule, req)


@route(
    "DELETE", "/security-group-rules/{rule_id}", policy=Rule("delete_security_group_rule", MEMBER), status=204
)
def delete(req: Request, rule_id: str) -> None:
    """Delete a rule; hosts apply it at once. 204. 404: no such rule in the project."""
    rule = security_groups.get_rule(req.db, rule_id, project_id=req.ctxt.visible_project)
    security_groups.delete_rule(req.db, rule)
    network_sync.push(req)


def _rule(req: Request, params: Body, project_id: str) -> SecurityGroupRule:
    """The rule that the body describes.

    :raises errors.BadRequest: a value or combination is not valid. :raises errors.NotFound: no such remote group.
    """
    ethertype = {name.lower(): name for name in ETHERTYPES}.get(str(params.get("ethertype") or "IPv4").lower())
    if ethertype is None:
        raise errors.BadRequest(
            reason=f"Invalid input for ethertype. Reason: '{params['ethertype']}' is neither IPv4 nor IPv6."
        )
    protocol = _protocol(params.get("protocol"), ethertype)
    low, high = _ports(protocol, _number("port_range_min", params), _number("port_range_max", params))
    remote, remote_group = params.get("remote_ip_prefix"), params.get("remote_group_id")
    if remote and remote_group:
        raise errors.BadRequest(reason="Only remote_ip_prefix or remote_group_id may be provided.")
    if remote_group:
        security_groups.get(req.db, remote_group, project_id=req.ctxt.visible_project)
    return SecurityGroupRule(
        id=new_id(),
        group_id=params["security_group_id"],
        project_id=project_id,
        description=params.get("description", ""),
        direction=params["direction"],
        ethertype=ethertype,
        protocol=protocol,
        port_min=low,
        port_max=high,
        remote_group_id=remote_group or None,
        remote_cidr=_prefix(remote, ethertype) if remote else None,
    )


def _protocol(value: str | int | None, ethertype: str) -> str | None:
    name = str(value if value is not None else "any").lower()
    if name in ("any", "", "-1"):
        return None
    if name in _NAMES or (len(name) <= 3 and integer(name, maximum=255) is not None):
        if ethertype == "IPv4" and name in ("icmpv6", "ipv6-icmp", "58"):
            raise errors.BadRequest(reason=f"Invalid ethertype {ethertype} for protocol {value}.")
        # As Neutron: of IPv6, ICMP is ICMPv6.
        return "ipv6-icmp" if name == "icmpv6" or (name == "icmp" and ethertype == "IPv6") else name
    raise errors.BadRequest(
        reason=f"Security group rule protocol {value} not supported. Only protocol values "
        f"{sorted(_NAMES)} and integer representations [0 to 255] are supported."
    )


def _number(name: str, params: Body) -> int | None:
    value = params.get(name)
    if value is None:
        return None
    number = integer(str(value), maximum=65535)
    if number is None:
        raise errors.BadRequest(reason=f"Invalid value for port {value} in {name}: 0 to 65535 is allowed.")
    return number


def _ports(protocol: str | None, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    """Both ends of a port range; for ICMP its type and code."""
    if low is None and high is None:
        return None, None
    if protocol in _ICMP:
        if low is None:
            raise errors.BadRequest(
                reason=f"ICMP code (port-range-max) {high} is provided but ICMP type "
                "(port-range-min) is missing."
            )
        for what, field, number in (("type", "port_range_min", low), ("code", "port_range_max", high)):
            if number is not None and number > 255:
                raise errors.BadRequest(
                    reason=f"Invalid value for ICMP {what} ({field}) {number}. It must be 0 to 255.")
        return low, high
    if protocol not in _WITH_PORTS:
        raise errors.BadRequest(
            reason="Must also specify a protocol that has ports (tcp, udp, dccp, sctp, udplite) "
            "if port range is given."
        )
    if low is None or high is None or low > high:
        raise errors.BadRequest(reason="For TCP/UDP protocols, port_range_min must be <= port_range_max")
    if low < 1:
        raise errors.BadRequest(reason="Invalid value for port 0: 1 to 65535 is allowed.")
    return low, high


def _prefix(text: str, ethertype: str) -> str:
    """The prefix as the client wrote it, since it is shown so; host bits are dropped for the hosts."""
    try:
        block = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise errors.BadRequest(
            reason=f"Invalid input for remote_ip_prefix. Reason: '{text}' is not a valid CIDR."
        ) from None
    if f"IPv{block.version}" != ethertype:
        raise errors.BadRequest(reason=f"Conflicting value ethertype {ethertype} for CIDR {text}")
    return text if "/" in text else str(block)
