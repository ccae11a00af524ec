# SPDX-License-Identifier: Apache-2.0
"""Security groups in the form that Nova kept from its own network service: names of its own, incoming rules only."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER_OR_NULL, STRING, STRING_OR_NULL, closed, each, many
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import SecurityGroup, SecurityGroupRule

# The shapes of one rule and of one group.
RULE = closed(
    **each("id parent_group_id", STRING), ip_protocol=STRING_OR_NULL, **each("from_port to_port", INTEGER_OR_NULL),
    group=closed(each("name tenant_id", STRING)), ip_range=closed({"cidr": STRING}))
GROUP = closed(**each("id name tenant_id", STRING), description=STRING_OR_NULL, rules=many(RULE))
_EVERY_PORT = {"tcp": (1, 65535), "udp": (1, 65535)}


def show_all(req: Request, groups: Sequence[SecurityGroup]) -> list[Body]:
    """The groups with their rules, by project and name; one more query for the groups that rules name."""
    named = _named(req, [rule for group in groups for rule in group.rules])
    shown = [_group(group, named) for group in groups]
    return sorted(shown, key=lambda group: (group["tenant_id"], group["name"], group["id"]))


def show_rule(req: Request, rule: SecurityGroupRule) -> Body:
    """One incoming rule."""
    return _rule(rule, _named(req, [rule]))


def _named(req: Request, rules: Sequence[SecurityGroupRule]) -> dict[str, SecurityGroup]:
    remote = sorted({rule.remote_group_id for rule in rules if rule.remote_group_id})
    found = security_groups.find(req.db, project_id=None, filters={"id": remote}) if remote else []
    return {group.id: group for group in found}


def _group(group: SecurityGroup, named: dict[str, SecurityGroup]) -> Body:
    rules = [_rule(rule, named) for rule in sorted(group.rules, key=lambda rule: (rule.created_at, rule.id))
             if rule.direction == "ingress"]
    return {"id": group.id, "name": group.name, "description": group.description, "tenant_id": group.project_id,
            "rules": rules}


def _rule(rule: SecurityGroupRule, named: dict[str, SecurityGroup]) -> Body:
    """Every port of a protocol is written out, or -1 for one without ports, as Nova's proxy does."""
    low, high = rule.port_min, rule.port_max
    if rule.protocol and low is None and high is None:
        low, high = _EVERY_PORT.get(rule.protocol.lower(), (-1, -1))
    shown: Body = {
        "id": rule.id, "parent_group_id": rule.group_id, "ip_protocol": rule.protocol, "from_port": low, "to_port": high,
        "group": {}, "ip_range": {}}
    remote = named.get(rule.remote_group_id or "")
    if remote is not None:
        shown["group"] = {"name": remote.name, "tenant_id": remote.project_id}
    elif rule.remote_group_id is None:
        everyone = "::/0" if rule.ethertype == "IPv6" else "0.0.0.0/0"
        shown["ip_range"] = {"cidr": rule.remote_cidr or everyone}
    return shown
