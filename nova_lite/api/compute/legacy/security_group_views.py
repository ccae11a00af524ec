# SPDX-License-Identifier: Apache-2.0
"""Security groups in the form of nova-network: its field names, and ingress rules only."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER_OR_NULL, STRING, STRING_OR_NULL, closed, each, many
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import SecurityGroup, SecurityGroupRule

RULE = closed(
    **each("id parent_group_id", STRING), ip_protocol=STRING_OR_NULL, **each("from_port to_port", INTEGER_OR_NULL),
    group=closed(each("name tenant_id", STRING)), ip_range=closed({"cidr": STRING}))
GROUP = closed(**each("id name tenant_id", STRING), description=STRING_OR_NULL, rules=many(RULE))
_ALL_PORTS = {"tcp": (1, 65535), "udp": (1, 65535)}


def show_all(req: Request, groups: Sequence[SecurityGroup]) -> list[Body]:
    """The groups with their rules, by project and name; one more query for the remote groups of rules."""
    remote_groups = _remote_groups(req, [rule for group in groups for rule in group.rules])
    documents = [_group(group, remote_groups) for group in groups]
    return sorted(documents, key=lambda group: (group["tenant_id"], group["name"], group["id"]))


def show_rule(req: Request, rule: SecurityGroupRule) -> Body:
    """One ingress rule."""
    return _rule(rule, _remote_groups(req, [rule]))


def _remote_groups(req: Request, rules: Sequence[SecurityGroupRule]) -> dict[str, SecurityGroup]:
    group_ids = sorted({rule.remote_group_id for rule in rules if rule.remote_group_id})
    groups = security_groups.find(req.db, project_id=None, filters={"id": group_ids}) if group_ids else []
    return {group.id: group for group in groups}


def _group(group: SecurityGroup, remote_groups: dict[str, SecurityGroup]) -> Body:
    rules = [_rule(rule, remote_groups) for rule in sorted(group.rules, key=lambda rule: (rule.created_at, rule.id))
             if rule.direction == "ingress"]
    return {"id": group.id, "name": group.name, "description": group.description, "tenant_id": group.project_id,
            "rules": rules}


def _rule(rule: SecurityGroupRule, remote_groups: dict[str, SecurityGroup]) -> Body:
    """A rule without ports shows the whole range, or -1 for a protocol that has no ports, as Nova's proxy does."""
    low, high = rule.port_min, rule.port_max
    if rule.protocol and low is None and high is None:
        low, high = _ALL_PORTS.get(rule.protocol.lower(), (-1, -1))
    document: Body = {
        "id": rule.id, "parent_group_id": rule.group_id, "ip_protocol": rule.protocol, "from_port": low, "to_port": high,
        "group": {}, "ip_range": {}}
    remote_group = remote_groups.get(rule.remote_group_id or "")
    if remote_group is not None:
        document["group"] = {"name": remote_group.name, "tenant_id": remote_group.project_id}
    elif rule.remote_group_id is None:
        any_address = "::/0" if rule.ethertype == "IPv6" else "0.0.0.0/0"
        document["ip_range"] = {"cidr": rule.remote_cidr or any_address}
    return document
