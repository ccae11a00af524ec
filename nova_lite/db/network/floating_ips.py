# SPDX-License-Identifier: Apache-2.0
"""Floating addresses: of an external network, kept by a project, and leading to a fixed address of one port."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from nova_lite import errors
from nova_lite.db import listing
from nova_lite.db.base import Base, Timestamps, new_id
from nova_lite.db.hosts.hosts import Host
from nova_lite.db.network import ports
from nova_lite.db.network.ip_allocations import Address, Wanted
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from nova_lite.db.network.routers import Router
from nova_lite.db.network.tags import Tagged

OWNER = "network:floatingip"


class FloatingIp(Tagged, Timestamps, Base):
    """One floating address. `plug_id` is the port that holds it on the external network; `port_id` where it leads.

    Two leading to one fixed address must be of different networks: the unique key decides the race.
    """

    __tablename__ = "floating_ips"
    __table_args__ = (sa.UniqueConstraint("port_id", "fixed_address", "network_id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    description: Mapped[str] = mapped_column(default="")
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("networks.id"), index=True)
    plug_id: Mapped[str] = mapped_column(sa.ForeignKey("ports.id", ondelete="CASCADE"), unique=True)
    address: Mapped[str] = mapped_column(sa.String(64), index=True)
    port_id: Mapped[str | None] = mapped_column(sa.ForeignKey("ports.id", ondelete="SET NULL"))
    fixed_address: Mapped[str | None] = mapped_column(sa.String(64))
    port: Mapped[Port | None] = relationship(lazy="raise", foreign_keys=[port_id])
    network: Mapped[Network] = relationship(lazy="raise")


COLUMNS: listing.Columns = {
    "id": FloatingIp.__table__.c.id,
    "description": FloatingIp.__table__.c.description,
    "project_id": FloatingIp.__table__.c.project_id,
    "tenant_id": FloatingIp.__table__.c.project_id,
    "floating_network_id": FloatingIp.__table__.c.network_id,
    "floating_ip_address": FloatingIp.__table__.c.address,
    "port_id": FloatingIp.__table__.c.port_id,
    "fixed_ip_address": FloatingIp.__table__.c.fixed_address,
    "created_at": FloatingIp.__table__.c.created_at,
}
_WHOLE = (joinedload(FloatingIp.port), joinedload(FloatingIp.network, innerjoin=True))


def refuse_orphans(session: Session, port: Port) -> None:
    """Refuse that the port gives up an address which a floating IP leads to: it would lead to the address's next owner.

    :raises errors.Conflict: as Neutron. Called after the port has its new addresses.
    """
    held = [address.address for address in port.addresses]
    lost = session.scalars(sa.select(FloatingIp).where(FloatingIp.port_id == port.id, FloatingIp.fixed_address.not_in(held))).first()
    if lost is not None:
        raise errors.Conflict(reason=(
            f"Port {port.id} cannot give up {lost.fixed_address}: floating IP {lost.address} is associated with it; disassociate that first."))


def find(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    is_used: bool | None = None,
    page: listing.Page = listing.ALL,
) -> list[FloatingIp]:
    """The project's floating addresses (None: all), with port and network; `is_used`: only those that lead somewhere."""
    seen = sa.select(FloatingIp)
    if project_id is not None:
        seen = seen.where(FloatingIp.project_id == project_id)
    query = seen.where(*listing.matching(COLUMNS, filters or {}))
    if is_used is not None:
        query = query.where(FloatingIp.port_id.is_not(None) if is_used else FloatingIp.port_id.is_(None))
    return list(session.scalars(listing.paged(session, query, COLUMNS, page, seen=seen).options(*_WHOLE)))


def get(session: Session, floating_ip_id: str, *, project_id: str | None = None) -> FloatingIp:
    """The floating address, with port and network; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    found = find(session, project_id=project_id, filters={"id": [floating_ip_id]})
    if not found:
        raise errors.NotFound(
            f"Floating IP {floating_ip_id} could not be found", what="Floating IP", id=floating_ip_id)
    return found[0]


def count(session: Session, project_id: str) -> int:
    """How many the project has, for its quota."""
    query = sa.select(sa.func.count()).select_from(FloatingIp).where(FloatingIp.project_id == project_id)
    return session.scalar(query) or 0


def create(
    session: Session, *, project_id: str, network: Network, wanted: Wanted | None, description: str, rng: random.Random
) -> FloatingIp:
    """Keep a new one that leads nowhere yet; `network` is external, with its subnets.

    :raises errors.BadRequest, errors.Conflict, errors.NoCapacity: as for a port of the network.
    """
    made = FloatingIp(id=new_id(), project_id=project_id, network_id=network.id, description=description)
    made.plug_id = ports.create(
        session, {"project_id": "", "device_id": made.id, "device_owner": OWNER, "port_security_enabled": False},
        network=network, wanted=[wanted or Wanted()], group_ids=(), rng=rng)
    made.address = session.scalars(sa.select(Address.address).where(Address.port_id == made.plug_id)).one()
    session.add(made)
    session.flush()
    return reread(session, made)


def lead(session: Session, floating: FloatingIp, port: Port | None, fixed_address: str | None) -> None:
    """Let the floating address lead to the port's fixed one (None: the port's first); port None: to nowhere.

    `port` with its addresses. :raises errors.BadRequest: the port has no such address.
    :raises errors.Conflict: another floating address of the same network leads there.
    """
    if port is not None:
        held = [address.address for address in port.addresses]
        if fixed_address is None and held:
            fixed_address = held[0]
        if fixed_address not in held:
            raise errors.BadRequest(
                reason=f"Bad floatingip request: Port {port.id} does not have fixed ip {fixed_address}."
                if held else f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no fixed "
                "IPv4 addresses.")
    try:
        with session.begin_nested():
            floating.port_id = None if port is None else port.id
            floating.fixed_address = None if port is None else fixed_address
    except IntegrityError:
        raise errors.Conflict(
            reason=f"Cannot associate floating IP {floating.address} ({floating.id}) with port {port and port.id} using "
            f"fixed IP {fixed_address}, as that fixed IP already has a floating IP on external network "
            f"{floating.network_id}.") from None


def delete(session: Session, floating: FloatingIp) -> None:
    """Give the address back."""
    session.execute(sa.delete(FloatingIp).where(FloatingIp.id == floating.id))
    session.execute(sa.delete(Port).where(Port.id == floating.plug_id))


def reread(session: Session, floating: FloatingIp) -> FloatingIp:
    """The floating address, whole, as the transaction has left it."""
    session.flush()
    query = sa.select(FloatingIp).where(FloatingIp.id == floating.id).options(*_WHOLE)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def router_of(session: Session, network_ids: Sequence[str]) -> dict[str, str]:
    """Network id → the router that joins it to an external network, as far as there is one."""
    query = (
        sa.select(Port.network_id, Router.id).join(Router, Router.id == Port.device_id)
        .where(Port.network_id.in_(network_ids), Port.device_owner == "network:router_interface"))
    found: dict[str, str] = {}
    for network_id, router_id in session.execute(query):
        found[network_id] = router_id
    return found


def is_address_of(session: Session, port_id: str, address: str) -> bool:
    """Whether the port has the fixed address."""
    query: sa.Select[Any] = sa.select(Address.id).where(Address.port_id == port_id, Address.address == address)
    return session.scalar(query) is not None


def leading_to(session: Session, agent: str, *criteria: sa.ColumnElement[bool]) -> set[tuple[str, str, str]]:
    """(server id, floating address, fixed address) of each that leads to a server of this worker's hosts, and of a port that meets the criteria."""
    query = sa.select(Port.device_id, FloatingIp.address, FloatingIp.fixed_address).join(
        Port, Port.id == FloatingIp.port_id).join(Host, Host.name == Port.host)
    return {(str(server_id), address, str(fixed)) for server_id, address, fixed in session.execute(query.where(
        Host.agent == agent, Port.device_id.is_not(None), FloatingIp.fixed_address.is_not(None), *criteria))}
