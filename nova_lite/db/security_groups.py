# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules, and the queries on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nova_lite.db.base import Base, Timestamps, new_id


class SecurityGroup(Timestamps, Base):
    """A named set of accept rules. Each project has one named `default`, made when first needed."""

    __tablename__ = "security_groups"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    # One default group a project: "default" here and NULL elsewhere, so that the unique key decides the race.
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
