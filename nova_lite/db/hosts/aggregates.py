# SPDX-License-Identifier: Apache-2.0
"""Host aggregates: sets of hosts with metadata. One that has `availability_zone` puts its hosts in that zone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id, utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Host, Service

ZONE = "availability_zone"


class Aggregate(Timestamps, Base):
    """One aggregate; its hosts are rows of AggregateHost."""

    __tablename__ = "aggregates"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    metadata_items: Mapped[dict[str, str]] = mapped_column(default=dict)

    @property
    def availability_zone(self) -> str | None:
        """The availability zone that its hosts are in; None: it sets none."""
        return self.metadata_items.get(ZONE)


class AggregateHost(Base):
    """A host is in an aggregate."""

    __tablename__ = "aggregate_hosts"

    aggregate_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    host: Mapped[str] = mapped_column(primary_key=True, index=True)


def get(session: Session, number: int, *, is_locked: bool = False) -> Aggregate:
    """The aggregate; `is_locked`: other transactions wait to change it.

    :raises errors.NotFound: there is none.
    """
    query = sa.select(Aggregate).where(Aggregate.number == number)
    aggregate = session.scalars(for_update(query) if is_locked else query).one_or_none()
    if aggregate is None:
        raise errors.NotFound(f"Aggregate {number} could not be found.")
    return aggregate


def find(session: Session) -> Sequence[Aggregate]:
    """All of them, oldest first."""
    return session.scalars(sa.select(Aggregate).order_by(Aggregate.number)).all()


def hosts_of(session: Session, numbers: Collection[int]) -> dict[int, list[str]]:
    """By aggregate: its hosts' names; one query."""
    query = sa.select(AggregateHost.aggregate_number, AggregateHost.host).where(
        AggregateHost.aggregate_number.in_(numbers)).order_by(AggregateHost.host)
    names: dict[int, list[str]] = {number: [] for number in numbers}
    for number, host in session.execute(query):
        names[number].append(host)
    return names


_BY_HOST = sa.select(AggregateHost.host, Aggregate.metadata_items).join(
    Aggregate, Aggregate.number == AggregateHost.aggregate_number)


def metadata_by_host(session: Session) -> dict[str, dict[str, frozenset[str]]]:
    """By host: all values of each key in the metadata of the host's aggregates, split at commas. One query."""
    by_host: dict[str, dict[str, frozenset[str]]] = {}
    for host, items in session.execute(_BY_HOST):
        values = by_host.setdefault(host, {})
        for key, value in items.items():
            values[key] = values.get(key, frozenset()) | {part.strip() for part in value.split(",")}
    return by_host


def add(session: Session, aggregate: Aggregate) -> Aggregate:
    """Add an aggregate.

    :raises errors.Conflict: its name is taken.
    """
    try:
        with session.begin_nested():  # the unique key decides the race between two API workers
            session.add(aggregate)
    except IntegrityError:
        raise errors.Conflict(reason=f"Aggregate {aggregate.name} already exists.") from None
    return aggregate


def rename(session: Session, aggregate: Aggregate, name: str) -> None:
    """Give it another name.

    :raises errors.Conflict: the name is taken.
    """
    try:
        with session.begin_nested():
            aggregate.name = name
            session.flush()
    except IntegrityError:
        raise errors.Conflict(reason=f"Aggregate {name} already exists.") from None


def remove(session: Session, aggregate: Aggregate) -> None:
    """Delete an aggregate.

    :raises errors.BadRequest: it has hosts.
    """
    if hosts_of(session, [aggregate.number])[aggregate.number]:
        raise errors.BadRequest(reason=f"Cannot remove aggregate {aggregate.number}: host aggregate is not empty.")
    session.delete(aggregate)


def add_host(session: Session, aggregate: Aggregate, name: str) -> None:
    """Add a compute host to the aggregate, and so to its availability zone.

    :raises errors.NotFound: no such host. :raises errors.Conflict: it is a member already, is in another availability
        zone by another aggregate, or has servers whose availability zone would change.
    """
    host = _host(session, name)
    if session.get(AggregateHost, (aggregate.number, name)) is not None:
        raise errors.Conflict(reason=f"Cannot add host {name} in aggregate {aggregate.number}: host already exists.")
    zone = aggregate.availability_zone
    if zone is not None:
        if host.aggregate_az not in (None, zone):
            raise errors.Conflict(reason=f"Cannot perform action 'add_host_to_aggregate' on aggregate "
                                         f"{aggregate.number}. Reason: Host already in availability zone "
                                         f"{host.aggregate_az}.")
        if host.availability_zone != zone and _busy(session, [name]):
            raise errors.Conflict(reason=f"Cannot add host {name} to aggregate {aggregate.number}. Reason: host "
                                         "contains instances, which would change their availability zone.")
        _move(session, {name: zone})
    session.add(AggregateHost(aggregate_number=aggregate.number, host=name))
    aggregate.updated_at = utcnow()


def remove_host(session: Session, aggregate: Aggregate, name: str) -> None:
    """Remove a host from the aggregate, and from its availability zone if no other aggregate sets the same.

    :raises errors.NotFound: it is no member. :raises errors.Conflict: it has servers whose availability zone would change.
    """
    member = session.get(AggregateHost, (aggregate.number, name))
    if member is None:
        raise errors.NotFound(f"Aggregate {aggregate.number} has no host {name}.")
    zone = _az_by_others(session, [name], but=aggregate.number).get(name)
    if aggregate.availability_zone is not None and zone is None:
        own = _configured_azs(session, [name]).get(name, aggregate.availability_zone)
        if own != aggregate.availability_zone and _busy(session, [name]):
            raise errors.Conflict(reason=f"Cannot remove host {name} from aggregate {aggregate.number}. Reason: host "
                                         "contains instances, which would change their availability zone.")
        _move(session, {name: None})
    session.delete(member)
    aggregate.updated_at = utcnow()


def set_metadata(session: Session, aggregate: Aggregate, changes: Mapping[str, str | None]) -> None:
    """Set these items; None removes one. A new availability zone applies to the aggregate's hosts.

    :raises errors.BadRequest: a host is in another availability zone by another aggregate, or has servers. The texts
        are Nova's.
    """
    new = {**aggregate.metadata_items, **changes}
    items = {key: value for key, value in new.items() if value is not None}
    if items.get(ZONE) != aggregate.availability_zone:
        _change_availability_zone(session, aggregate, items.get(ZONE))
    aggregate.metadata_items = items
    session.flush()


def _change_availability_zone(session: Session, aggregate: Aggregate, zone: str | None) -> None:
    names = hosts_of(session, [aggregate.number])[aggregate.number]
    others = _az_by_others(session, names, but=aggregate.number)
    refusal = f"Cannot perform action 'update_aggregate' on aggregate {aggregate.number}. Reason:"
    if zone is not None and any(other != zone for other in others.values()):
        raise errors.BadRequest(reason=f"{refusal} One or more hosts already in different availability zone(s) "
                                       f"{sorted(set(others.values()))}.")
    own = _configured_azs(session, names)
    after = {name: zone or others.get(name) for name in names}
    current = {host.name: host.availability_zone for host in session.scalars(sa.select(Host).where(Host.name.in_(names)))}
    moving = [name for name in names if (after[name] or own.get(name)) != current.get(name)]
    if _busy(session, moving):
        raise errors.BadRequest(reason=f"{refusal} One or more hosts contain instances in this zone.")
    _move(session, after)


def forget_host(session: Session, name: str) -> None:
    """Remove a deleted host from all aggregates."""
    session.execute(sa.delete(AggregateHost).where(AggregateHost.host == name))


def _host(session: Session, name: str) -> Host:
    # Locked, so that two aggregates with different availability zones cannot both add it.
    host = session.scalars(for_update(sa.select(Host).where(Host.name == name))).one_or_none()
    if host is None:
        raise errors.NotFound(f"Compute host {name} could not be found.")
    return host


def _busy(session: Session, names: Sequence[str]) -> bool:
    """Whether there are servers or claims on the hosts, which stay locked, so that none is added meanwhile."""
    claimed = session.scalars(for_update(
        sa.select(Host.servers_claimed).where(Host.name.in_(names)).order_by(Host.number))).all()
    return any(claimed) or bool(names) and session.scalar(sa.select(sa.exists().where(
        Server.host.in_(names), Server.deleted_at.is_(None)))) is True


def _az_by_others(session: Session, names: Sequence[str], *, but: int) -> dict[str, str]:
    """By host: the availability zone that another aggregate than `but` sets."""
    query = sa.select(AggregateHost.host, Aggregate.metadata_items).join(
        Aggregate, Aggregate.number == AggregateHost.aggregate_number).where(
            AggregateHost.host.in_(names), Aggregate.number != but)
    return {host: items[ZONE] for host, items in session.execute(query) if items.get(ZONE)}


def _configured_azs(session: Session, names: Sequence[str]) -> dict[str, str]:
    """By host: the availability zone in its worker's configuration."""
    query = sa.select(Service.host, Service.availability_zone).where(
        Service.binary == "nova-compute", Service.host.in_(names))
    return {host: zone for host, zone in session.execute(query)}


def _move(session: Session, zones: Mapping[str, str | None]) -> None:
    """Set the availability zones of hosts; None: that of their worker's configuration."""
    own = _configured_azs(session, list(zones))
    for host in session.scalars(for_update(sa.select(Host).where(Host.name.in_(zones)).order_by(Host.number))):
        host.aggregate_az = zones[host.name]
        host.availability_zone = zones[host.name] or own.get(host.name, host.availability_zone)
    session.flush()
