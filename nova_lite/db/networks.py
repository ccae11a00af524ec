# SPDX-License-Identifier: Apache-2.0
"""Networks and subnets, and the queries on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nova_lite.db.base import Base, Timestamps, new_id


class Network(Timestamps, Base):
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


class Subnet(Timestamps, Base):
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
