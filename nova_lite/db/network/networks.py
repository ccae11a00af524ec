# SPDX-License-Identifier: Apache-2.0
"""Networks and subnets, and the queries on them."""

from __future__ import annotations

import dataclasses
import ipaddress
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova_lite import errors
from nova_lite.db import listing
from nova_lite.db.base import Base, Timestamps, for_update, new_id
from nova_lite.db.network import revisions
from nova_lite.db.network.security_groups import SecurityGroup
from nova_lite.db.network.tags import Tagged
from nova_lite.db.quotas import quota_locks

_SEGMENTS = (1 << 24) - 1  # a VXLAN network identifier has 24 bits (RFC 7348)
_TRIES = 8
_ROUTED = "routed networks"  # the name of a lock


class Network(Tagged, Timestamps, Base):
    """One layer-2 network. `segment` is its VXLAN identifier, unique over the cloud."""

    __tablename__ = "networks"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    segment: Mapped[int] = mapped_column(unique=True)
    mtu: Mapped[int]
    shared: Mapped[bool] = mapped_column(default=False)
    is_external: Mapped[bool] = mapped_column(default=False)
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    subnets: Mapped[list[Subnet]] = relationship(lazy="raise", order_by="Subnet.created_at")

    @property
    def is_routed(self) -> bool:
        """Whether hosts route to it, so that its ranges must overlap with no other routed network's."""
        return self.shared or self.is_external


class Subnet(Tagged, Timestamps, Base):
    """One IPv4 range of a network. `pools` are [first, last] pairs that addresses are given from."""

    __tablename__ = "subnets"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("networks.id"), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    cidr: Mapped[str] = mapped_column(sa.String(64))
    gateway: Mapped[str | None] = mapped_column(sa.String(64))
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    dns_nameservers: Mapped[list[str]] = mapped_column(default=list)
    host_routes: Mapped[list[dict[str, str]]] = mapped_column(sa.JSON, default=list)
    pools: Mapped[list[list[str]]] = mapped_column(sa.JSON, default=list)


NETWORK_COLUMNS: listing.Columns = {
    "id": Network.__table__.c.id,
    "name": Network.__table__.c.name,
    "description": Network.__table__.c.description,
    "project_id": Network.__table__.c.project_id,
    "tenant_id": Network.__table__.c.project_id,
    "shared": Network.__table__.c.shared,
    "router:external": Network.__table__.c.is_external,
    "admin_state_up": Network.__table__.c.admin_state_up,
    "mtu": Network.__table__.c.mtu,
    "port_security_enabled": Network.__table__.c.port_security_enabled,
    "provider:segmentation_id": Network.__table__.c.segment,
    "created_at": Network.__table__.c.created_at,
}
SUBNET_COLUMNS: listing.Columns = {
    "id": Subnet.__table__.c.id,
    "name": Subnet.__table__.c.name,
    "description": Subnet.__table__.c.description,
    "project_id": Subnet.__table__.c.project_id,
    "tenant_id": Subnet.__table__.c.project_id,
    "network_id": Subnet.__table__.c.network_id,
    "cidr": Subnet.__table__.c.cidr,
    "gateway_ip": Subnet.__table__.c.gateway,
    "enable_dhcp": Subnet.__table__.c.enable_dhcp,
    "created_at": Subnet.__table__.c.created_at,
}


def _visible(project_id: str | None) -> sa.ColumnElement[bool]:
    """Own, shared and external networks; None: all."""
    if project_id is None:
        return sa.true()
    return sa.or_(Network.project_id == project_id, Network.shared, Network.is_external)


def find(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    page: listing.Page = listing.ALL,
) -> list[Network]:
    """The networks that the project (None: an admin) may see, with subnets."""
    seen = sa.select(Network).where(_visible(project_id))
    query = seen.where(*listing.matching(NETWORK_COLUMNS, filters or {}))
    query = listing.paged(session, query, NETWORK_COLUMNS, page, seen=seen)
    return list(session.scalars(query.options(selectinload(Network.subnets))))


def get(session: Session, network_id: str, *, project_id: str | None = None) -> Network:
    """The network, with subnets; `project_id`: only when that project may see it.

    :raises errors.NotFound: none, or not for this project.
    """
    query = sa.select(Network).where(Network.id == network_id, _visible(project_id))
    network = session.scalars(query.options(selectinload(Network.subnets))).one_or_none()
    if network is None:
        raise errors.NotFound(what="Network", id=network_id)
    return network


class Range(Protocol):
    """What addresses are given from: a Subnet, or of one what that takes."""

    @property
    def id(self) -> str: ...

    @property
    def cidr(self) -> str: ...

    @property
    def gateway(self) -> str | None: ...

    @property
    def pools(self) -> list[list[str]]: ...


class Pluggable(Protocol):
    """What ports are made on: a Network with its subnets loaded, or of one what that takes."""

    @property
    def id(self) -> str: ...

    @property
    def port_security_enabled(self) -> bool: ...

    @property
    def subnets(self) -> Sequence[Range]: ...


@dataclasses.dataclass(frozen=True)
class UsableRange:
    """A Range as its row had it."""

    id: str
    cidr: str
    gateway: str | None
    pools: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Usable:
    """A Pluggable as its rows had it. `default_group_id`: the project's default security group; None: there is none yet."""

    id: str
    port_security_enabled: bool
    subnets: list[UsableRange]
    default_group_id: str | None = None


def usable(session: Session, project_id: str, *, among: Sequence[str] | None = None) -> list[Usable]:
    """The networks that the project's servers may plug into: own and shared, oldest first; one query.

    `among`: only those of these ids. External networks that are not shared are for an admin's own use.
    """
    query, wanted = (_USABLE, {}) if among is None else (_USABLE_AMONG, {"ids": list(among)})
    found: dict[str, Usable] = {}
    rows = session.connection().execute(query, {"project": project_id, **wanted})
    for network_id, is_secured, subnet_id, cidr, gateway, pools, group_id in rows:
        network = found.setdefault(network_id, Usable(network_id, is_secured, [], group_id))
        if subnet_id is not None:
            network.subnets.append(UsableRange(subnet_id, cidr, gateway, pools))
    return list(found.values())


# Built once: building a query costs several times what running it does, and every boot runs this one.
_USABLE = (
    sa.select(Network.id, Network.port_security_enabled, Subnet.id, Subnet.cidr, Subnet.gateway, Subnet.pools,
              sa.select(SecurityGroup.id).where(SecurityGroup.default_of == sa.bindparam("project")).scalar_subquery())
    .select_from(sa.outerjoin(Network.__table__, Subnet.__table__, Subnet.network_id == Network.id))
    .where(sa.or_(Network.project_id == sa.bindparam("project"), Network.shared))
    .order_by(Network.created_at, Network.id, Subnet.created_at)
)
_USABLE_AMONG = _USABLE.where(Network.id.in_(sa.bindparam("ids", expanding=True)))


def count(session: Session, project_id: str) -> int:
    """How many networks the project has, for its quota."""
    return (
        session.scalar(
            sa.select(sa.func.count()).select_from(Network).where(Network.project_id == project_id)
        )
        or 0
    )


def create(session: Session, network: Network, *, segment: int | None, rng: random.Random) -> Network:
    """Keep a new network; `segment` None: a random free one.

    Random, not the lowest free: a host that missed an old network's removal must not join it to a new one.

    :raises errors.Conflict: the requested segment is taken. :raises errors.NoCapacity: none was found.
    """
    for _ in range(_TRIES if segment is None else 1):
        network.segment = segment if segment is not None else rng.randint(1, _SEGMENTS)
        network.subnets = []
        try:
            with session.begin_nested():  # the unique key decides the race for the segment
                session.add(network)
            return network
        except IntegrityError:
            continue
    if segment is not None:
        raise errors.Conflict(reason=f"Segmentation id {segment} is used by another network.")
    raise errors.NoCapacity(what="VXLAN network identifiers", where="this cloud")


def delete(session: Session, network: Network) -> None:
    """Remove the network and its subnets.

    :raises errors.InUse: a port is on it; the foreign key also sees one that is being made meanwhile.
    """
    quota_locks.take(session, network.id)
    try:
        with session.begin_nested():
            # The network before its subnets, in the order in which a new port refers to them.
            session.execute(for_update(sa.select(Network.id).where(Network.id == network.id))).all()
            session.execute(sa.delete(Subnet).where(Subnet.network_id == network.id))
            session.execute(sa.delete(Network).where(Network.id == network.id))
            revisions.delete(session, [network.id, revisions.of_forwarding(network.id)])
    except IntegrityError:
        raise errors.InUse(what="Network", id=network.id, reason="one or more ports are on it.") from None
    quota_locks.forget(session, network.id)


def is_used_by_others(session: Session, network: Network) -> bool:
    """Whether another project has a port on the network."""
    ports = Base.metadata.tables["ports"]
    query = sa.select(ports.c.id).where(
        ports.c.network_id == network.id, ports.c.project_id != network.project_id
    )
    return session.execute(query.limit(1)).first() is not None


def lock_ranges(session: Session, networks: Sequence[Network]) -> None:
    """Keep others from changing the ranges of these networks until the transaction ends, and read them again. Before any quota lock.

    By locks of their own: on MariaDB a new port locks its network's row, and waits for its project's quota lock with it.

    :raises errors.NotFound: one was deleted meanwhile.
    """
    ids = sorted({network.id for network in networks})
    for network_id in ids:
        quota_locks.take(session, network_id)
    query = sa.select(Network).where(Network.id.in_(ids)).options(selectinload(Network.subnets))
    found = {network.id: network for network in session.scalars(query.execution_options(populate_existing=True))}
    for network_id in ids:
        if network_id not in found:
            raise errors.NotFound(what="Network", id=network_id)
    if any(network.is_routed for network in found.values()):
        lock_routed(session)


def lock_routed(session: Session) -> None:
    """Keep others from changing the ranges of routed networks, which are compared over all of them. Admins' work, rare."""
    quota_locks.take(session, _ROUTED)


def find_subnets(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    page: listing.Page = listing.ALL,
) -> list[Subnet]:
    """The subnets of networks that the project (None: an admin) may see."""
    seen = sa.select(Subnet).join(Network, Network.id == Subnet.network_id).where(_visible(project_id))
    query = seen.where(*listing.matching(SUBNET_COLUMNS, filters or {}))
    return list(session.scalars(listing.paged(session, query, SUBNET_COLUMNS, page, seen=seen)))


def get_subnet(session: Session, subnet_id: str, *, project_id: str | None = None) -> Subnet:
    """The subnet; `project_id`: only when that project may see its network.

    :raises errors.NotFound: none, or not for this project.
    """
    query = sa.select(Subnet).join(Network, Network.id == Subnet.network_id)
    subnet = session.scalars(query.where(Subnet.id == subnet_id, _visible(project_id))).one_or_none()
    if subnet is None:
        raise errors.NotFound(what="Subnet", id=subnet_id)
    return subnet


def count_subnets(session: Session, project_id: str) -> int:
    """How many subnets the project has, for its quota."""
    return (
        session.scalar(sa.select(sa.func.count()).select_from(Subnet).where(Subnet.project_id == project_id))
        or 0
    )


def add_subnet(session: Session, network: Network, subnet: Subnet) -> Subnet:
    """Keep a new subnet of the network, which is new or has its ranges locked.

    :raises errors.BadRequest: it overlaps another of the network, or one that the hosts route.
    """
    _refuse_overlap(session, network, [subnet.cidr], others=network.subnets)
    session.add(subnet)
    session.flush()
    session.refresh(network, ["subnets"])
    return subnet


def refuse_routed_overlap(session: Session, network: Network) -> None:
    """Check a network that becomes shared or external: the hosts cannot route one range to two networks.

    :raises errors.BadRequest: a subnet of it overlaps one of another shared or external network.
    """
    _refuse_overlap(session, network, [subnet.cidr for subnet in network.subnets], others=[])


def _refuse_overlap(session: Session, network: Network, cidrs: list[str], *, others: list[Subnet]) -> None:
    others = list(others)
    if network.is_routed:
        others += session.scalars(
            sa.select(Subnet)
            .join(Network, Network.id == Subnet.network_id)
            .where(Network.id != network.id, sa.or_(Network.shared, Network.is_external))
        )
    for cidr in cidrs:
        for other in others:
            if ipaddress.ip_network(cidr).overlaps(ipaddress.ip_network(other.cidr)):
                where = (
                    "this network" if other.network_id == network.id else "another shared or external network"
                )
                raise errors.BadRequest(
                    reason=f"Invalid input for operation: Requested subnet with cidr: {cidr} for network: "
                    f"{network.id} "
                    f"overlaps with another subnet, {other.cidr} of {where}."
                )


def delete_subnet(session: Session, subnet: Subnet) -> None:
    """Remove the subnet.

    :raises errors.InUse: a port has an address of it.
    """
    try:
        with session.begin_nested():
            session.execute(sa.delete(Subnet).where(Subnet.id == subnet.id))
    except IntegrityError:
        raise errors.InUse(
            what="Subnet", id=subnet.id, reason="one or more ports have an IP allocation from this subnet."
        ) from None
