# SPDX-License-Identifier: Apache-2.0
"""Ports and the addresses allocated to them, and the queries on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nova_lite.db.base import Base, Timestamps, new_id


class Port(Timestamps, Base):
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
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    addresses: Mapped[list[Address]] = relationship(lazy="raise", cascade="all, delete-orphan")
    security_groups: Mapped[list[PortSecurityGroup]] = relationship(lazy="raise", cascade="all, delete-orphan")

    __table_args__ = (sa.UniqueConstraint("network_id", "mac_address"),)


class Address(Base):
    """A fixed address of a port; the unique key decides the race between two allocators."""

    __tablename__ = "addresses"
    __table_args__ = (sa.UniqueConstraint("subnet_id", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnets.id"))
    port_id: Mapped[str] = mapped_column(sa.ForeignKey("ports.id", ondelete="CASCADE"), index=True)
    address: Mapped[str] = mapped_column(sa.String(64))


class PortSecurityGroup(Base):
    """A port is in a security group."""

    __tablename__ = "port_security_groups"

    port_id: Mapped[str] = mapped_column(sa.ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_groups.id"), primary_key=True, index=True)
