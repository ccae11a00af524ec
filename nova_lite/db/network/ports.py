# SPDX-License-Identifier: Apache-2.0
"""Ports and the addresses allocated to them, and the queries on them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship, selectinload

from nova_lite import errors
from nova_lite.db import listing
from nova_lite.db.base import Base, InsertUnlessTaken, Timestamps, new_id, utcnow
from nova_lite.db.network import ip_allocations, network_changes
from nova_lite.db.network.ip_allocations import Address as Address
from nova_lite.db.network.ip_allocations import Wanted
from nova_lite.db.network.networks import Network, Pluggable
from nova_lite.db.network.security_groups import SecurityGroup
from nova_lite.db.network.tags import Tagged

SERVER_OWNER = "compute:nova"  # `device_owner` of a server's port, as Nova writes it
_TRIES = 8


class Port(Tagged, Timestamps, Base):
    """One NIC's plug. `device_id` is the server's id once it is used; `host` where it is plugged.

    `is_ours`: made for a server by create-server, and deleted with it; a user's own port outlives the server.
    """

    __tablename__ = "ports"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("networks.id"), index=True)
    name: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    mac_address: Mapped[str] = mapped_column(sa.String(17))
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(sa.String(16), default="DOWN")
    device_id: Mapped[str] = mapped_column(sa.String(64), default="", index=True)
    device_owner: Mapped[str] = mapped_column(default="")
    host: Mapped[str | None] = mapped_column(index=True)
    position: Mapped[int] = mapped_column(default=0)  # order of the server's NICs
    is_ours: Mapped[bool] = mapped_column(default=False)
    tag: Mapped[str | None] = mapped_column(sa.String(60))  # what its user calls the NIC inside the guest
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    network: Mapped[Network] = relationship(lazy="raise")
    addresses: Mapped[list[Address]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="Address.id"
    )
    security_groups: Mapped[list[PortSecurityGroup]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True
    )

    __table_args__ = (sa.UniqueConstraint("network_id", "mac_address"),)


class PortSecurityGroup(Base):
    """A port is in a security group."""

    __tablename__ = "port_security_groups"

    port_id: Mapped[str] = mapped_column(sa.ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_groups.id"), primary_key=True, index=True)
    group: Mapped[SecurityGroup] = relationship(lazy="raise")


PORT_COLUMNS: listing.Columns = {
    "id": Port.__table__.c.id,
    "name": Port.__table__.c.name,
    "description": Port.__table__.c.description,
    "project_id": Port.__table__.c.project_id,
    "tenant_id": Port.__table__.c.project_id,
    "network_id": Port.__table__.c.network_id,
    "mac_address": Port.__table__.c.mac_address,
    "admin_state_up": Port.__table__.c.admin_state_up,
    "status": Port.__table__.c.status,
    "device_id": Port.__table__.c.device_id,
    "device_owner": Port.__table__.c.device_owner,
    "binding:host_id": Port.__table__.c.host,
    "port_security_enabled": Port.__table__.c.port_security_enabled,
    "created_at": Port.__table__.c.created_at,
}
# One query for ports with their networks, one for addresses, one for groups with names.
_WHOLE = (
    joinedload(Port.network, innerjoin=True),
    selectinload(Port.addresses),
    selectinload(Port.security_groups).joinedload(PortSecurityGroup.group, innerjoin=True),
)


def find(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    fixed_ips: Sequence[Wanted] = (),
    group_ids: Sequence[str] = (),
    page: listing.Page = listing.ALL,
) -> list[Port]:
    """The project's ports (None: all), whole, with all of `fixed_ips` and in one of `group_ids` if given."""
    seen = sa.select(Port)
    if project_id is not None:
        seen = seen.where(Port.project_id == project_id)
    query = seen.where(*listing.matching(PORT_COLUMNS, filters or {}))
    for wanted in fixed_ips:
        has = sa.select(Address.port_id)
        if wanted.subnet_id is not None:
            has = has.where(Address.subnet_id == wanted.subnet_id)
        if wanted.address is not None:
            has = has.where(Address.address == wanted.address)
        query = query.where(Port.id.in_(has))
    if group_ids:
        query = query.where(
            Port.id.in_(sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(group_ids)))
        )
    return list(session.scalars(listing.paged(session, query, PORT_COLUMNS, page, seen=seen).options(*_WHOLE)))


def get(session: Session, port_id: str, *, project_id: str | None = None) -> Port:
    """The port, whole; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    query = sa.select(Port).where(Port.id == port_id)
    if project_id is not None:
        query = query.where(Port.project_id == project_id)
    port = session.scalars(query.options(*_WHOLE)).one_or_none()
    if port is None:
        raise errors.NotFound(what="Port", id=port_id)
    return port


def count(session: Session, project_id: str) -> int:
    """How many ports the project has, for its quota."""
    return (
        session.scalar(sa.select(sa.func.count()).select_from(Port).where(Port.project_id == project_id)) or 0
    )


def of_servers(session: Session, server_ids: Sequence[str]) -> dict[str, list[Port]]:
    """Each server's ports in the order of its NICs; network, addresses and groups' names loaded.

    Three queries for any number of servers; every id given is a key.
    """
    found: dict[str, list[Port]] = {server_id: [] for server_id in server_ids}
    if server_ids:
        query = (
            sa.select(Port)
            .where(Port.device_id.in_(server_ids))
            .order_by(Port.position, Port.created_at, Port.id)
        )
        for port in session.scalars(query.options(*_WHOLE)):
            found[port.device_id].append(port)
    return found


def make_for_server(
    session: Session,
    *,
    server_id: str,
    project_id: str,
    network: Pluggable,
    fixed_ip: str | None,
    group_ids: Sequence[str],
    position: int,
    rng: random.Random,
    tag: str | None = None,
) -> str:
    """Make a port for one NIC of a server, with an address; it is deleted with the server. Its id.

    That it is a member of its groups is recorded when it is on the server's host (`interfaces.join_networks`). A network
    without subnets gives a port without an address.

    :raises errors.BadRequest: `fixed_ip` is in no subnet. :raises errors.Conflict: it is taken.
    :raises errors.NoCapacity: every address of the network is taken.
    """
    values = {
        "project_id": project_id,
        "device_id": server_id,
        "device_owner": SERVER_OWNER,
        "position": position,
        "is_ours": True,
        "port_security_enabled": network.port_security_enabled,
        "tag": tag,
    }
    wanted = [Wanted(address=fixed_ip)] if fixed_ip else None
    return _insert(session, values, network=network, wanted=wanted, group_ids=group_ids, rng=rng)[0]


def create(
    session: Session,
    values: Mapping[str, Any],
    *,
    network: Pluggable,
    wanted: Sequence[Wanted] | None,
    group_ids: Sequence[str],
    rng: random.Random,
) -> str:
    """Keep a new port of these columns with a MAC (random unless given), addresses and groups; its id.

    `wanted` None: one address of any subnet. Errors as for `make_for_server`.
    """
    port_id, addresses = _insert(session, values, network=network, wanted=wanted, group_ids=group_ids, rng=rng)
    network_changes.add(session, network_changes.member_rows(
        group_ids, port_id=port_id, network_id=network.id, addresses=addresses))
    return port_id


def _insert(
    session: Session, values: Mapping[str, Any], *, network: Pluggable, wanted: Sequence[Wanted] | None, group_ids: Sequence[str],
    rng: random.Random,
) -> tuple[str, list[str]]:
    """Write the rows; the port's id and its addresses.

    As a rule three inserts and no query: unique keys decide the races for addresses and MACs, and no row is locked that
    ports share.
    """
    given_mac = values.get("mac_address")
    session.flush()  # what the rows refer to
    port_id, connection = new_id(), session.connection()
    chosen = ip_allocations.choose(session, network, wanted, rng=rng)
    row = {**values, "id": port_id, "network_id": network.id}
    try:
        if not any(connection.execute(_ADD, {**row, "mac_address": given_mac or random_mac(rng)}).rowcount
                   for _ in range(1 if given_mac else _TRIES)):
            raise errors.Conflict(reason=(
                f"Unable to complete operation for network {network.id}. The mac address {given_mac} is in use." if given_mac
                else f"network {network.id} was deleted, or its MAC addresses run out"))
        addresses = ip_allocations.allocate(session, network, chosen, port_id=port_id, rng=rng)
        if group_ids:
            # In one order: each locks its group against deletion.
            connection.execute(_ADD_MEMBER, [{"port_id": port_id, "group_id": group_id} for group_id in sorted(group_ids)])
    except IntegrityError:
        raise errors.Conflict(reason=f"network {network.id} or a security group was deleted") from None
    return port_id, addresses


def random_mac(rng: random.Random) -> str:
    """A MAC address of OpenStack's usual range: fa:16:3e and three random bytes."""
    return "fa:16:3e:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(3))


def readdress(
    session: Session, port: Port, *, network: Pluggable, wanted: Sequence[Wanted], rng: random.Random
) -> None:
    """Replace the port's addresses; those that stay are kept.

    Errors as for `addresses.pick`.
    """
    kept = [
        address
        for address in port.addresses
        if any(
            want.address == address.address and want.subnet_id in (None, address.subnet_id) for want in wanted
        )
    ]
    held = {address.address for address in kept}
    picked = ip_allocations.pick(session, network, [want for want in wanted if want.address not in held], rng=rng)
    changed = {address.address for address in port.addresses} ^ {*held, *(address for _, address in picked)}
    try:
        with session.begin_nested():
            port.addresses = kept + [
                Address(subnet_id=subnet_id, address=address) for subnet_id, address in picked
            ]
    except IntegrityError:
        raise errors.Conflict(reason="An address was taken by another port meanwhile: try again.") from None
    network_changes.add(session, network_changes.member_rows(
        sorted(member.group_id for member in port.security_groups), port_id=port.id, network_id=port.network_id,
        addresses=sorted(changed)))


def regroup(session: Session, port: Port, group_ids: Sequence[str]) -> None:
    """Put the port in these groups and no others."""
    old = {member.group_id for member in port.security_groups}
    kept = [member for member in port.security_groups if member.group_id in group_ids]
    held = {member.group_id for member in kept}
    port.security_groups = kept + [
        PortSecurityGroup(group_id=group_id) for group_id in group_ids if group_id not in held
    ]
    session.flush()
    network_changes.add(session, network_changes.member_rows(
        sorted(old ^ set(group_ids)), port_id=port.id, network_id=port.network_id,
        addresses=[address.address for address in port.addresses]))
    session.expire(port, ["security_groups"])


def bind_given(session: Session, port_id: str, server_id: str, *, project_id: str, position: int) -> Port:
    """Give a user's own port to a server, by one guarded UPDATE; whole.

    :raises errors.NotFound: no port of this project. :raises errors.InUse: a device has it already.
    """
    won = session.execute(
        sa.update(Port)
        .where(Port.id == port_id, Port.project_id == project_id, Port.device_id == "")
        .values(device_id=server_id, device_owner=SERVER_OWNER, position=position, updated_at=utcnow())
    )
    port = get(session, port_id, project_id=project_id)
    if won.rowcount != 1:  # type: ignore[attr-defined]
        raise errors.InUse(f"Port {port_id} is still in use.", what="Port", id=port_id)
    session.refresh(port, ["device_id", "device_owner", "position"])
    return port


def plug(session: Session, server_id: str, *, host: str | None, is_up: bool) -> None:
    """Record where the server's ports are (to be) plugged (None: nowhere), and whether they are ready."""
    session.execute(_PLUG, {"of": server_id, "new_host": host, "new_status": "ACTIVE" if is_up else "DOWN", "now": utcnow()})


# Statements of every build and delete are built once: building one costs several times what running it does.
_TABLE: Any = Port.__table__
_ADD = InsertUnlessTaken(_TABLE).inline()
_ADD_MEMBER = sa.insert(PortSecurityGroup)
_OF_SERVER = _TABLE.c.device_id == sa.bindparam("of")
_PLUG = sa.update(_TABLE).where(_OF_SERVER).values(
    host=sa.bindparam("new_host"), status=sa.bindparam("new_status"), updated_at=sa.bindparam("now")
)


def change_mac(session: Session, port: Port, mac: str) -> None:
    """Give the port another MAC address.

    :raises errors.Conflict: another port of the network has it.
    """
    try:
        with session.begin_nested():
            port.mac_address = mac
    except IntegrityError:
        raise errors.Conflict(
            reason=f"Unable to complete operation for network {port.network_id}. "
            f"The mac address {mac} is in use."
        ) from None


def reread(session: Session, port: Port) -> Port:
    """The port, whole, as the transaction has left it."""
    session.flush()
    query = sa.select(Port).where(Port.id == port.id).options(*_WHOLE)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def delete_unused(session: Session, port: Port) -> bool:
    """Remove the whole port with its addresses and memberships, unless a server has it: then False."""
    rows = network_changes.member_rows(
        [member.group_id for member in port.security_groups], port_id=port.id, network_id=port.network_id,
        addresses=[address.address for address in port.addresses])
    gone = bool(session.execute(sa.delete(Port).where(Port.id == port.id, Port.device_id == "")).rowcount)  # type: ignore[attr-defined]
    if gone:
        network_changes.add(session, rows)
    return gone
