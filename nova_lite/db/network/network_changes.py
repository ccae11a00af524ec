# SPDX-License-Identifier: Apache-2.0
"""What changed in rows that network workers hold a copy of: written with the change, deleted once it is pushed to the hosts.

Appending never waits: a counter on the group's or network's row would make all servers of a project wait for each other.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base, utcnow


class Kind(StrEnum):
    """What is to be read again and pushed. RELOAD: hosts that have the group are to fetch it whole.

    ADDRESSES: the cloud's own addresses, which are closed to guests. PLACE: of a network's port, by its MAC; RELOAD_PLACES:
    hosts that have the network are to fetch where all of its ports are.
    """

    MEMBER = "member"
    RULES = "rules"
    RELOAD = "reload"
    NETWORK = "network"
    NETWORK_DELETED = "deleted"
    SERVER = "server"
    ADDRESSES = "addresses"
    PLACE = "place"
    RELOAD_PLACES = "places"


class NetworkChange(Base):
    """One change of a group, a network or a server's ports; of a MEMBER also the port and its address, of a PLACE its MAC.

    It says only where to look: what is pushed is read from the rows.
    """

    __tablename__ = "network_changes"

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    resource_id: Mapped[str] = mapped_column(sa.String(64))
    port_id: Mapped[str | None] = mapped_column(sa.String(36))
    network_id: Mapped[str | None] = mapped_column(sa.String(36))
    address: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)


class Row(Protocol):
    """The columns of a NetworkChange, read as a plain row."""

    id: int
    kind: str
    resource_id: str
    port_id: str | None
    network_id: str | None
    address: str | None


# Statements are built once: building one costs several times what running it does.
_TABLE: Any = NetworkChange.__table__
_ADD = sa.insert(_TABLE).inline()
_PENDING = sa.select(*_TABLE.c).order_by(_TABLE.c.id).limit(sa.bindparam("limit"))


def record(session: Session, kind: Kind, resource_ids: Iterable[str]) -> None:
    """These groups, networks or servers changed."""
    now = utcnow()
    rows = [{"kind": str(kind), "resource_id": one, "created_at": now} for one in sorted(set(resource_ids))]
    if rows:
        session.execute(_ADD, rows)


def member_rows(
    group_ids: Iterable[str], *, port_id: str, network_id: str, addresses: Iterable[str]
) -> list[dict[str, Any]]:
    """The rows that say that addresses of a port joined the groups or left them."""
    now, given = utcnow(), list(addresses)
    return [
        {"kind": str(Kind.MEMBER), "resource_id": group_id, "port_id": port_id, "network_id": network_id,
         "address": address, "created_at": now}
        for group_id in group_ids for address in given]


def add(connection: Session | sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of `member_rows`."""
    if rows:
        connection.execute(_ADD, list(rows))


def pending(session: Session, *, limit: int) -> Sequence[Row]:
    """The oldest changes that nobody has pushed."""
    return list(session.execute(_PENDING, {"limit": limit}))


def delete(session: Session, changes: Sequence[Row]) -> None:
    """These were pushed."""
    session.execute(sa.delete(NetworkChange).where(NetworkChange.id.in_([change.id for change in changes])))
