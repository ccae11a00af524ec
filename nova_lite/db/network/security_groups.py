# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules, and the queries on them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova_lite import errors
from nova_lite.db import listing
from nova_lite.db.base import Base, Timestamps, for_update, new_id
from nova_lite.db.network import network_changes, revisions
from nova_lite.db.network.tags import Tagged

DEFAULT = "default"
ETHERTYPES = ("IPv4", "IPv6")


class SecurityGroup(Tagged, Timestamps, Base):
    """A named set of accept rules. Each project has one named `default`, made when first needed."""

    __tablename__ = "security_groups"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    # The project's id in its default group, NULL elsewhere: the unique key decides the race to make it.
    default_of: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    rules: Mapped[list[SecurityGroupRule]] = relationship(lazy="raise", cascade="all, delete-orphan")


class SecurityGroupRule(Timestamps, Base):
    """One accept rule; see rpc/network.py Rule for the meaning of the fields."""

    __tablename__ = "security_group_rules"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_groups.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    description: Mapped[str] = mapped_column(default="")
    direction: Mapped[str] = mapped_column(sa.String(16))
    ethertype: Mapped[str] = mapped_column(sa.String(8), default="IPv4")
    protocol: Mapped[str | None] = mapped_column(sa.String(16))
    port_min: Mapped[int | None]
    port_max: Mapped[int | None]
    remote_cidr: Mapped[str | None] = mapped_column(sa.String(64))
    remote_group_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)


GROUP_COLUMNS: listing.Columns = {
    "id": SecurityGroup.__table__.c.id,
    "name": SecurityGroup.__table__.c.name,
    "description": SecurityGroup.__table__.c.description,
    "project_id": SecurityGroup.__table__.c.project_id,
    "tenant_id": SecurityGroup.__table__.c.project_id,
    "created_at": SecurityGroup.__table__.c.created_at,
}
RULE_COLUMNS: listing.Columns = {
    "id": SecurityGroupRule.__table__.c.id,
    "security_group_id": SecurityGroupRule.__table__.c.group_id,
    "project_id": SecurityGroupRule.__table__.c.project_id,
    "tenant_id": SecurityGroupRule.__table__.c.project_id,
    "description": SecurityGroupRule.__table__.c.description,
    "direction": SecurityGroupRule.__table__.c.direction,
    "ethertype": SecurityGroupRule.__table__.c.ethertype,
    "protocol": SecurityGroupRule.__table__.c.protocol,
    "port_range_min": SecurityGroupRule.__table__.c.port_min,
    "port_range_max": SecurityGroupRule.__table__.c.port_max,
    "remote_ip_prefix": SecurityGroupRule.__table__.c.remote_cidr,
    "remote_group_id": SecurityGroupRule.__table__.c.remote_group_id,
    "created_at": SecurityGroupRule.__table__.c.created_at,
}
_Owned = TypeVar("_Owned", SecurityGroup, SecurityGroupRule)


def _of(query: sa.Select[_Owned], model: type[_Owned], project_id: str | None) -> sa.Select[_Owned]:
    return query if project_id is None else query.where(model.project_id == project_id)


def find(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    page: listing.Page = listing.ALL,
) -> list[SecurityGroup]:
    """The project's groups (None: all), with rules."""
    seen = _of(sa.select(SecurityGroup), SecurityGroup, project_id)
    query = seen.where(*listing.matching(GROUP_COLUMNS, filters or {}))
    query = listing.paged(session, query, GROUP_COLUMNS, page, seen=seen)
    return list(session.scalars(query.options(selectinload(SecurityGroup.rules))))


def get(session: Session, group_id: str, *, project_id: str | None = None) -> SecurityGroup:
    """The group, with rules; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    query = _of(sa.select(SecurityGroup).where(SecurityGroup.id == group_id), SecurityGroup, project_id)
    group = session.scalars(query.options(selectinload(SecurityGroup.rules))).one_or_none()
    if group is None:
        raise errors.NotFound(f"Security group {group_id} does not exist", what="Security group", id=group_id)
    return group


def named(session: Session, project_id: str, wanted: Sequence[str]) -> list[SecurityGroup]:
    """The project's groups of these names or ids, each once, without rules; `default` is made when missing.

    :raises errors.BadRequest: a group is unknown, or several have the name.
    """
    query = sa.select(SecurityGroup).where(
        SecurityGroup.project_id == project_id,
        sa.or_(SecurityGroup.id.in_(wanted), SecurityGroup.name.in_(wanted)),
    )
    known = list(session.scalars(query))
    found: dict[str, SecurityGroup] = {}
    for word in wanted:
        matches = [group for group in known if group.id == word] or [
            group for group in known if group.name == word
        ]
        if not matches and word == DEFAULT:
            matches = [default(session, project_id)]
        if not matches:
            raise errors.BadRequest(reason=f"Security group {word} not found for project {project_id}.")
        if len(matches) > 1:
            raise errors.BadRequest(reason=f"Multiple security groups are named {word}: give the id of one.")
        found[matches[0].id] = matches[0]
    return list(found.values())


def default_id(session: Session, project_id: str) -> str:
    """The id of the project's default group, made when there is none yet."""
    known = session.connection().execute(_DEFAULT_ID_OF, {"project": project_id}).scalar()
    return known or default(session, project_id).id


def default(session: Session, project_id: str) -> SecurityGroup:
    """The project's default group, made when there is none yet: all out, in only from the group itself."""
    group = session.scalars(_DEFAULT_OF, {"project": project_id}).one_or_none()
    if group is not None:
        return group
    made = SecurityGroup(
        id=new_id(),
        project_id=project_id,
        name=DEFAULT,
        description="Default security group",
        default_of=project_id,
    )
    made.rules = egress_rules(made) + [
        SecurityGroupRule(
            project_id=project_id, direction="ingress", ethertype=ethertype, remote_group_id=made.id
        )
        for ethertype in ETHERTYPES
    ]
    try:
        with session.begin_nested():  # the unique key decides the race between two first needs
            session.add(made)
        return made
    except IntegrityError:
        return session.scalars(_DEFAULT_OF, {"project": project_id}).one()


def make_defaults(session: Session, project_ids: Iterable[str]) -> None:
    """Make the default groups that these projects lack, in one order; before any quota lock, as where one is made alone."""
    for project_id in sorted(set(project_ids)):
        default_id(session, project_id)


_DEFAULT_OF = sa.select(SecurityGroup).where(SecurityGroup.default_of == sa.bindparam("project"))
_DEFAULT_ID_OF = sa.select(SecurityGroup.id).where(SecurityGroup.default_of == sa.bindparam("project"))


def has_default(session: Session, project_id: str) -> bool:
    """Whether the project's default group was made already."""
    return (
        session.scalar(sa.select(SecurityGroup.id).where(SecurityGroup.default_of == project_id)) is not None
    )


def egress_rules(group: SecurityGroup) -> list[SecurityGroupRule]:
    """What each new group lets out: everything, as two rules."""
    return [
        SecurityGroupRule(project_id=group.project_id, direction="egress", ethertype=ethertype)
        for ethertype in ETHERTYPES
    ]


def count(session: Session, project_id: str) -> int:
    """How many groups the project has, for its quota."""
    return (
        session.scalar(
            sa.select(sa.func.count())
            .select_from(SecurityGroup)
            .where(SecurityGroup.project_id == project_id)
        )
        or 0
    )


def create(session: Session, *, project_id: str, name: str, description: str) -> SecurityGroup:
    """A new group that lets everything out and nothing in."""
    group = SecurityGroup(id=new_id(), project_id=project_id, name=name, description=description)
    group.rules = egress_rules(group)
    session.add(group)
    session.flush()
    return group


def delete(session: Session, group: SecurityGroup) -> None:
    """Remove the group and every rule that names it.

    :raises errors.InUse: a port is in it.
    """
    naming = SecurityGroupRule.remote_group_id == group.id
    # All rules that go, in one order: two groups whose rules name each other may be deleted at once. MariaDB locks rows in the
    # order of the index by which it finds them: here of their ids.
    rule_id = SecurityGroupRule.id
    going = session.scalars(sa.select(rule_id).where(sa.or_(naming, SecurityGroupRule.group_id == group.id))).all()
    session.execute(for_update(sa.select(rule_id).where(rule_id.in_(sorted(going))).order_by(rule_id))).all()
    losers = list(session.scalars(sa.select(SecurityGroupRule.group_id).where(naming).distinct()))
    try:
        with session.begin_nested():
            session.execute(sa.delete(SecurityGroupRule).where(naming))
            session.execute(sa.delete(SecurityGroup).where(SecurityGroup.id == group.id))
            revisions.delete(session, [group.id])
    except IntegrityError:
        raise errors.InUse(f"Security Group {group.id} in use.", what="Security group", id=group.id) from None
    network_changes.record(session, network_changes.Kind.RULES, set(losers) - {group.id})


def find_rules(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    page: listing.Page = listing.ALL,
) -> list[SecurityGroupRule]:
    """The project's rules (None: all)."""
    seen = _of(sa.select(SecurityGroupRule), SecurityGroupRule, project_id)
    query = seen.where(*listing.matching(RULE_COLUMNS, filters or {}))
    return list(session.scalars(listing.paged(session, query, RULE_COLUMNS, page, seen=seen)))


def get_rule(session: Session, rule_id: str, *, project_id: str | None = None) -> SecurityGroupRule:
    """The rule; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    query = _of(
        sa.select(SecurityGroupRule).where(SecurityGroupRule.id == rule_id), SecurityGroupRule, project_id
    )
    rule = session.scalars(query).one_or_none()
    if rule is None:
        raise errors.NotFound(
            f"Security group rule {rule_id} does not exist", what="Security group rule", id=rule_id
        )
    return rule


def count_rules(session: Session, project_id: str) -> int:
    """How many rules the project has, for its quota."""
    return (
        session.scalar(
            sa.select(sa.func.count())
            .select_from(SecurityGroupRule)
            .where(SecurityGroupRule.project_id == project_id)
        )
        or 0
    )


def add_rule(session: Session, rule: SecurityGroupRule) -> SecurityGroupRule:
    """Keep a new rule. The caller has the quota lock of the group's project, so that two like rules cannot pass each other.

    :raises errors.Conflict: the group has the same rule already.
    """
    same = [getattr(SecurityGroupRule, name).is_not_distinct_from(getattr(rule, name)) for name in _SAMENESS]
    for twin in session.scalars(sa.select(SecurityGroupRule).where(*same)):
        if _meaning(twin) == _meaning(rule):
            raise errors.Conflict(reason=f"Security group rule already exists. Rule id is {twin.id}.")
    session.add(rule)
    session.flush()
    network_changes.record(session, network_changes.Kind.RULES, [rule.group_id])
    if rule.remote_group_id and rule.ethertype == "IPv4":
        # Members of a group that no rule named were not sent to any host.
        network_changes.record(session, network_changes.Kind.RELOAD, [rule.remote_group_id])
    return rule


_SAMENESS = (
    "group_id",
    "direction",
    "ethertype",
    "port_min",
    "port_max",
    "remote_group_id",
)
_PROTOCOLS = {"1": "icmp", "2": "igmp", "4": "ipip", "6": "tcp", "8": "egp", "17": "udp", "33": "dccp", "41": "ipv6-encap", "43": "ipv6-route",
              "44": "ipv6-frag", "46": "rsvp", "47": "gre", "50": "esp", "51": "ah", "58": "ipv6-icmp", "59": "ipv6-nonxt",
              "60": "ipv6-opts", "89": "ospf", "112": "vrrp", "113": "pgm", "132": "sctp", "136": "udplite"}


def _meaning(rule: SecurityGroupRule) -> tuple[str | None, str | None]:
    """Protocol and prefix, the same for every spelling: by name or number, with host bits or not, all addresses or none named."""
    protocol = _PROTOCOLS.get(rule.protocol or "", rule.protocol)
    if rule.ethertype == "IPv6" and protocol == "icmp":
        protocol = "ipv6-icmp"
    block = ipaddress.ip_network(rule.remote_cidr, strict=False) if rule.remote_cidr else None
    return protocol, None if block is None or block.prefixlen == 0 else str(block)


def delete_rule(session: Session, rule: SecurityGroupRule) -> None:
    """Remove the rule."""
    session.execute(sa.delete(SecurityGroupRule).where(SecurityGroupRule.id == rule.id))
    network_changes.record(session, network_changes.Kind.RULES, [rule.group_id])


def projects_of(session: Session, group_ids: Iterable[str], *, project_id: str | None) -> list[str]:
    """The projects of those of the groups that the project (None: an admin) has."""
    query = _of(sa.select(SecurityGroup).where(SecurityGroup.id.in_(set(group_ids))), SecurityGroup, project_id)
    return sorted({group.project_id for group in session.scalars(query)})


def missing(session: Session, group_ids: Iterable[str], *, project_id: str | None) -> list[str]:
    """Those of the ids that are no group of the project (None: of any)."""
    wanted = set(group_ids)
    query = _of(sa.select(SecurityGroup).where(SecurityGroup.id.in_(wanted)), SecurityGroup, project_id)
    return sorted(wanted - {group.id for group in session.scalars(query)})
