# SPDX-License-Identifier: Apache-2.0
"""The proxies to security groups and their ingress rules, up to 2.35; later clients use the network API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.legacy.security_group_views import GROUP, RULE, show_all, show_rule
from nova_lite.api.network import network_sync, security_group_rules
from nova_lite.api.network import security_groups as network_api
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import SecurityGroup

_UNTIL = "2.35"
_WITH_PORTS = ("TCP", "UDP")
# Nova's proxy leaves all checks of values to the network service.
_GROUP_BODY = schemas.keyed("security_group", {"type": "object", "required": ["name", "description"]})
_RULE_BODY = schemas.keyed("security_group_rule", {"type": "object", "required": ["parent_group_id"]})


@route("GET", "/os-security-groups", policy=Rule("os_compute_api:os-security-groups:get", READER), until=_UNTIL,
       query=schemas.queries({"2.0": ("all_tenants", "limit", "offset")}),
       response=closed(security_groups=many(GROUP)))
def index(req: Request) -> Body:
    """List the project's groups, or for an admin with `all_tenants` those of all projects. 200. 400: a wrong limit or offset."""
    everyone = req.ctxt.is_admin and "all_tenants" in req.query
    network_api.ensure_default(req)
    groups = security_groups.find(req.db, project_id=None if everyone else req.ctxt.project_id)
    documents = show_all(req, groups)[paging.offset(req):]
    return {"security_groups": documents[:paging.limit(req)]}


@route("GET", "/os-security-groups/{group_id}", policy=Rule("os_compute_api:os-security-groups:show", READER), until=_UNTIL,
       response=closed(security_group=GROUP))
def show(req: Request, group_id: str) -> Body:
    """Show one group. 200. 400: the id is no UUID. 404: no such group in the project."""
    return {"security_group": show_all(req, [_group(req, group_id)])[0]}


@route("POST", "/os-security-groups", policy=Rule("os_compute_api:os-security-groups:create", MEMBER), until=_UNTIL,
       body={"2.0": _GROUP_BODY}, response=closed(security_group=GROUP))
def create(req: Request, body: Body) -> Body:
    """Create a group that allows no ingress.

    200 with the group. 400: a wrong name or description, or the name `default`. 403: the quota is exceeded.
    """
    created = _proxied(lambda: network_api.create(req, {"security_group": _name_and_description(body)}))
    return {"security_group": show_all(req, [_group(req, created["security_group"]["id"])])[0]}


@route("PUT", "/os-security-groups/{group_id}", policy=Rule("os_compute_api:os-security-groups:update", MEMBER),
       until=_UNTIL, body={"2.0": _GROUP_BODY}, response=closed(security_group=GROUP))
def update(req: Request, group_id: str, body: Body) -> Body:
    """Change name and description.

    200 with the group. 400: the id is no UUID, or the default group's name would change. 404: no such group in the project.
    """
    group = _group(req, group_id)
    _proxied(lambda: network_api.update(req, group.id, {"security_group": _name_and_description(body)}))
    return {"security_group": show_all(req, [group])[0]}


@route("DELETE", "/os-security-groups/{group_id}", policy=Rule("os_compute_api:os-security-groups:delete", MEMBER),
       until=_UNTIL, status=202)
def delete(req: Request, group_id: str) -> None:
    """Delete a group.

    202 with no body. 400: the id is no UUID, a server is in the group, or it is the default group. 404: no such group.
    """
    group = _group(req, group_id)
    try:
        network_api.delete(req, group.id)
    except errors.Conflict as refused:
        raise errors.BadRequest(reason=refused.text) from None


@route("POST", "/os-security-group-rules", policy=Rule("os_compute_api:os-security-groups:rule:create", MEMBER),
       until=_UNTIL, body={"2.0": _RULE_BODY}, response=closed(security_group_rule=RULE))
def create_rule(req: Request, body: Body) -> Body:
    """Add an ingress rule: from a range of addresses, or from the members of a group.

    200 with the rule. 400: wrong values, or the group has the rule already. 403: the quota is exceeded. 404: no such group.
    """
    params = body["security_group_rule"]
    group = _group(req, str(params["parent_group_id"]))
    created = _proxied(lambda: security_group_rules.create(req, {"security_group_rule": _ingress_rule(group.id, params)}))
    rule = security_groups.get_rule(req.db, created["security_group_rule"]["id"])
    return {"security_group_rule": show_rule(req, rule)}


@route("DELETE", "/os-security-group-rules/{rule_id}",
       policy=Rule("os_compute_api:os-security-groups:rule:delete", MEMBER), until=_UNTIL, status=202)
def delete_rule(req: Request, rule_id: str) -> None:
    """Delete a rule. 202 with no body. 400: the id is no UUID. 404: no such rule in the project."""
    rule = security_groups.get_rule(req.db, _uuid(rule_id), project_id=req.ctxt.visible_project)
    security_groups.delete_rule(req.db, rule)
    network_sync.push(req)


def _group(req: Request, group_id: str) -> SecurityGroup:
    """:raises errors.BadRequest: the id is no UUID. :raises errors.NotFound: no such group in the project."""
    return security_groups.get(req.db, _uuid(group_id), project_id=req.ctxt.visible_project)


def _uuid(text: str) -> str:
    if not schemas.UUID_FORM.fullmatch(text):
        raise errors.BadRequest(reason="Security group id should be uuid")
    return text


def _name_and_description(body: Body) -> dict[str, str]:
    """:raises errors.BadRequest: one of them is no string, or too long."""
    values = {}
    for field in ("name", "description"):
        value = body["security_group"][field]
        if not isinstance(value, str) or len(value) > 255:
            raise errors.BadRequest(reason=f"Input '{field}' must be a string of at most 255 characters.")
        values[field] = value
    return values


def _ingress_rule(group_id: str, params: dict[str, Any]) -> Body:
    """The rule as a body of the network API.

    :raises errors.BadRequest: wrong values.
    """
    protocol, low, high = params.get("ip_protocol"), params.get("from_port"), params.get("to_port")
    rule: Body = {"security_group_id": group_id, "direction": "ingress", "ethertype": "IPv4"}
    if params.get("group_id") is not None:
        rule["remote_group_id"] = _uuid(str(params["group_id"]))
    else:
        if protocol is None or low is None or high is None:
            raise errors.BadRequest(reason="Not enough parameters to build a valid rule.")
        cidr = str(params.get("cidr") or "0.0.0.0/0")
        rule |= {"remote_ip_prefix": cidr, "ethertype": "IPv6" if ":" in cidr else "IPv4"}
    if protocol is None:
        return rule
    return rule | {"protocol": str(protocol).lower()} | _range(str(protocol).upper(), low, high)


def _range(protocol: str, low: Any, high: Any) -> Body:
    """The range of ports; for ICMP type and code, where -1 means any.

    :raises errors.BadRequest: no such protocol, or a wrong range.
    """
    if protocol not in (*_WITH_PORTS, "ICMP"):
        raise errors.BadRequest(reason=f"Invalid IP protocol {protocol}.")
    if low is None and high is None:
        return {}
    first, last = _integer(low), _integer(high)
    if protocol == "ICMP":
        if not (-1 <= first <= 255 and -1 <= last <= 255):
            raise errors.BadRequest(reason=f"Invalid port range {first}:{last}. For ICMP, the type:code must be valid")
        return {name: number for name, number in (("port_range_min", first), ("port_range_max", last)) if number >= 0}
    if first > last:
        raise errors.BadRequest(
            reason=f"Invalid port range {first}:{last}. Former value cannot be greater than the later")
    if first < 1 or last > 65535:
        raise errors.BadRequest(
            reason=f"Invalid port range {first}:{last}. Valid {protocol} ports should be between 1-65535")
    return {"port_range_min": first, "port_range_max": last}


def _integer(value: Any) -> int:
    """:raises errors.BadRequest: it is neither an integer nor its digits."""
    text = str(value)
    number = integer(text.removeprefix("-"))
    if number is None:
        raise errors.BadRequest(reason="To and From ports must be integers")
    return -number if text.startswith("-") else number


def _proxied(request: Callable[[], Body]) -> Body:
    """The response of the network API; its refusals become those of the Compute API."""
    try:
        return request()
    except errors.Conflict as refused:
        if refused.text.startswith("Quota exceeded"):
            raise errors.Forbidden(reason=refused.text) from None
        raise errors.BadRequest(reason=refused.text) from None
