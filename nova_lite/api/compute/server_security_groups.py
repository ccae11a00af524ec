# SPDX-License-Identifier: Apache-2.0
"""Security groups of one server with their incoming rules, in the form that Nova kept from its own network service."""

from __future__ import annotations

from nova_lite.api.compute import asking
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import READER, Rule, route
from nova_lite.db import ports, security_groups
from nova_lite.db.security_groups import SecurityGroup, SecurityGroupRule


@route("GET", "/servers/{server_id}/os-security-groups", policy=Rule("os_compute_api:os-security-groups:list", READER))
def index(req: Request, server_id: str) -> Body:
    """The groups that the server's ports are in."""
    server = asking.find(req, server_id)
    plugged = ports.of_servers(req.db, [server.id])[server.id]
    ids = {member.group_id for port in plugged for member in port.security_groups}
    groups = security_groups.find(req.db, project_id=None, filters={"id": sorted(ids)}) if ids else []
    remote = {rule.remote_group_id for group in groups for rule in group.rules if rule.remote_group_id}
    names = {group.id: group for group in security_groups.find(req.db, project_id=None, filters={"id": sorted(remote)})
             } if remote else {}
    return {"security_groups": [_group(group, names) for group in groups]}


def _group(group: SecurityGroup, named: dict[str, SecurityGroup]) -> Body:
    rules = [_rule(rule, named) for rule in group.rules if rule.direction == "ingress"]
    return {"id": group.id, "name": group.name, "description": group.description, "tenant_id": group.project_id,
            "rules": rules}


def _rule(rule: SecurityGroupRule, named: dict[str, SecurityGroup]) -> Body:
    """A port of a rule for every port is shown as -1 for ICMP, else as null, as Nova's proxy does."""
    every = -1 if rule.protocol == "icmp" else None
    shown: Body = {
        "id": rule.id, "parent_group_id": rule.group_id, "ip_protocol": rule.protocol,
        "from_port": every if rule.port_min is None else rule.port_min,
        "to_port": every if rule.port_max is None else rule.port_max, "group": {}, "ip_range": {}}
    remote = named.get(rule.remote_group_id or "")
    if remote is not None:
        shown["group"] = {"name": remote.name, "tenant_id": remote.project_id}
    elif rule.remote_group_id is None:
        everyone = "::/0" if rule.ethertype == "IPv6" else "0.0.0.0/0"
        shown["ip_range"] = {"cidr": rule.remote_cidr or everyone}
    return shown
