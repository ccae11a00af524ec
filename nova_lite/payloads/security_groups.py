# SPDX-License-Identifier: Apache-2.0
"""Security groups as hosts get them: whole when a host fetches them, else what changed between two revisions."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.hosts.hosts import Host
from nova_lite.db.network import revisions
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.ports import Port, PortSecurityGroup
from nova_lite.db.network.revisions import Revision
from nova_lite.db.network.security_groups import SecurityGroup, SecurityGroupRule
from nova_lite.rpc import network as network_rpc

# Statements are built once: building one costs several times what running it does.
_GROUP: Any = SecurityGroup.__table__.c
_REVISION: Any = Revision.__table__.c
_RULE: Any = SecurityGroupRule.__table__.c
_PORT: Any = Port.__table__
_ADDRESS: Any = Address.__table__
_MEMBER: Any = PortSecurityGroup.__table__
_HOST: Any = Host.__table__
_IDS: Any = sa.bindparam("ids", expanding=True)
_NAMED = sa.select(_RULE.remote_group_id).where(_RULE.ethertype == "IPv4")
# The groups, and every group that their rules name: a row for each rule, or one without any.
_WHOLE = (
    sa.select(_GROUP.id.label("group"), _REVISION.revision, *_RULE)
    .select_from(
        sa.outerjoin(SecurityGroup.__table__, Revision.__table__, _REVISION.resource_id == _GROUP.id)
        .outerjoin(SecurityGroupRule.__table__, sa.and_(_RULE.group_id == _GROUP.id, _RULE.ethertype == "IPv4")))
    .where(sa.or_(_GROUP.id.in_(_IDS), _GROUP.id.in_(_NAMED.where(_RULE.group_id.in_(_IDS)).correlate(None))))
    .order_by(_GROUP.id, _RULE.created_at, _RULE.id)
)
_MEMBERS = (
    sa.select(_MEMBER.c.group_id, _PORT.c.network_id, _ADDRESS.c.address)
    .select_from(_MEMBER.join(_PORT, _PORT.c.id == _MEMBER.c.port_id).join(_ADDRESS, _ADDRESS.c.port_id == _PORT.c.id))
)
_ALL_MEMBERS = _MEMBERS.where(
    _MEMBER.c.group_id.in_(_IDS), _MEMBER.c.group_id.in_(_NAMED.where(_RULE.remote_group_id.in_(_IDS)))
).order_by(_PORT.c.network_id, _ADDRESS.c.address)
_MEMBERS_OF_PORTS = _MEMBERS.where(_PORT.c.id.in_(sa.bindparam("ports", expanding=True)), _MEMBER.c.group_id.in_(_IDS))
_RULES = sa.select(*_RULE).where(_RULE.group_id.in_(_IDS), _RULE.ethertype == "IPv4").order_by(_RULE.created_at, _RULE.id)
_NAMING = sa.select(_RULE.remote_group_id, _RULE.group_id).distinct().where(
    _RULE.remote_group_id.in_(_IDS), _RULE.ethertype == "IPv4")
_AGENTS = (
    sa.select(_MEMBER.c.group_id, _HOST.c.agent).distinct()
    .select_from(_MEMBER.join(_PORT, _PORT.c.id == _MEMBER.c.port_id).join(_HOST, _HOST.c.name == _PORT.c.host))
)
_AGENTS_OF = _AGENTS.where(_MEMBER.c.group_id.in_(_IDS))


def groups(session: Session, group_ids: Iterable[str]) -> tuple[network_rpc.SecurityGroup, ...]:
    """These groups and every group that their rules name, whole; two queries.

    Only IPv4 rules: guests have no IPv6 yet. Members may be newer than the revision, never older: a change that
    a host has the effect of already has no effect.

    Members are left out of a group that no rule anywhere names: nobody needs them, and they may be many.
    """
    required = sorted(set(group_ids))
    if not required:
        return ()
    known: dict[str, int] = {}
    rules: dict[str, list[network_rpc.Rule]] = {}
    for row in session.execute(_WHOLE, {"ids": required}):
        known[row.group] = row.revision or 0
        if row.id is not None:
            rules.setdefault(row.group, []).append(_rule(row))
    members: dict[str, list[network_rpc.Member]] = {}
    for group_id, network_id, address in session.execute(_ALL_MEMBERS, {"ids": sorted(known)}):
        members.setdefault(group_id, []).append(network_rpc.Member(network_id=network_id, address=address))
    return tuple(
        network_rpc.SecurityGroup(
            id=group_id, revision=revision, members=tuple(members.get(group_id, ())), rules=tuple(rules.get(group_id, ())))
        for group_id, revision in sorted(known.items()))


@dataclasses.dataclass
class ChangedGroups:
    """What the record of changes says of groups. `members`: (group, port, network, address) that joined or left."""

    rules: set[str] = dataclasses.field(default_factory=set)
    reload: set[str] = dataclasses.field(default_factory=set)
    members: set[tuple[str, str, str, str]] = dataclasses.field(default_factory=set)

    @property
    def ids(self) -> set[str]:
        return self.rules | self.reload | {group_id for group_id, _, _, _ in self.members}


def take_changes(
    session: Session, changed: ChangedGroups, *, revision: int
) -> dict[str, tuple[network_rpc.SecurityGroupChange, ...]]:
    """Agent → what it is to be sent; each group that a host has gets a new revision, `revision` unless it has that.

    A host has a group if a port there is in it, or in a group whose rules name it. A group that no rule names is not
    sent members, nor one that no host has anything.

    A revision that is a time is new also after a restore of an older database.
    """
    if not changed.ids:
        return {}
    naming: dict[str, set[str]] = {}
    for remote_id, group_id in session.execute(_NAMING, {"ids": sorted(changed.ids)}):
        naming.setdefault(remote_id, set()).add(group_id)
    agents = _agents(session, changed.rules | (changed.ids & naming.keys()), naming)
    if not agents:
        return {}
    changes = _changes(session, changed, revisions.advance(session, agents, to=revision))
    sent: dict[str, list[network_rpc.SecurityGroupChange]] = {}
    for change in changes:
        for agent in agents[change.id]:
            sent.setdefault(agent, []).append(change)
    return {agent: tuple(of_agent) for agent, of_agent in sent.items()}


def _changes(
    session: Session, changed: ChangedGroups, steps: Mapping[str, tuple[int, int]]
) -> list[network_rpc.SecurityGroupChange]:
    with_rules = sorted(changed.rules & steps.keys())
    rules: dict[str, list[network_rpc.Rule]] = {group_id: [] for group_id in with_rules}
    for row in session.execute(_RULES, {"ids": with_rules}) if with_rules else ():
        rules[row.group_id].append(_rule(row))
    members = {one for one in changed.members if one[0] in steps}
    present: set[tuple[str, str, str]] = set()
    if members:
        ports = sorted({port_id for _, port_id, _, _ in members})
        found = session.execute(_MEMBERS_OF_PORTS, {"ports": ports, "ids": sorted({group_id for group_id, _, _, _ in members})})
        present = {(group_id, network_id, address) for group_id, network_id, address in found}
    joined: dict[str, set[network_rpc.Member]] = {}
    left: dict[str, set[network_rpc.Member]] = {}
    for group_id, _, network_id, address in members:
        side = joined if (group_id, network_id, address) in present else left
        side.setdefault(group_id, set()).add(network_rpc.Member(network_id=network_id, address=address))
    return [
        network_rpc.SecurityGroupChange(
            id=group_id, base_revision=after if group_id in changed.reload else before, revision=after,
            added=_sorted(joined.get(group_id, ())), removed=_sorted(left.get(group_id, ())),
            rules=tuple(rules[group_id]) if group_id in rules else None)
        for group_id, (before, after) in steps.items()]


def _sorted(members: Iterable[network_rpc.Member]) -> tuple[network_rpc.Member, ...]:
    return tuple(sorted(members, key=lambda member: (member.network_id, member.address)))


def _agents(session: Session, group_ids: Collection[str], naming: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Group → the agents that have it; groups that none has are left out."""
    queried = sorted({*group_ids, *(name for group_id in group_ids for name in naming.get(group_id, ()))})
    used: dict[str, set[str]] = {}
    for group_id, agent in session.execute(_AGENTS_OF, {"ids": queried}) if queried else ():
        used.setdefault(group_id, set()).add(agent)
    found = {
        group_id: set().union(*(used.get(one, set()) for one in (group_id, *naming.get(group_id, ())))) for group_id in group_ids}
    return {group_id: agents for group_id, agents in found.items() if agents}


def revisions_of_agents(session: Session) -> dict[str, dict[str, int]]:
    """Agent → group → revision, of every group that each should have; three queries."""
    needed: dict[str, set[str]] = {}
    for group_id, agent in session.execute(_AGENTS):
        needed.setdefault(agent, set()).add(group_id)
    named: dict[str, set[str]] = {}
    for group_id, remote_id in session.execute(
        sa.select(_RULE.group_id, _RULE.remote_group_id).distinct().where(
            _RULE.remote_group_id.is_not(None), _RULE.ethertype == "IPv4")):
        named.setdefault(group_id, set()).add(remote_id)
    known: dict[str, int] = {group_id: revision or 0 for group_id, revision in session.execute(
        sa.select(_GROUP.id, _REVISION.revision).select_from(sa.outerjoin(
            SecurityGroup.__table__, Revision.__table__, _REVISION.resource_id == _GROUP.id)))}
    found = {agent: own.union(*(named.get(group_id, set()) for group_id in own)) for agent, own in needed.items()}
    return {
        agent: {group_id: known[group_id] for group_id in sorted(ids) if group_id in known} for agent, ids in found.items()}


def _rule(rule: Any) -> network_rpc.Rule:  # a row
    return network_rpc.Rule(
        direction=rule.direction,
        protocol=rule.protocol,
        port_min=rule.port_min,
        port_max=rule.port_max,
        remote_cidr=str(ipaddress.ip_network(rule.remote_cidr, strict=False)) if rule.remote_cidr else None,
        remote_group_id=rule.remote_group_id,
    )
