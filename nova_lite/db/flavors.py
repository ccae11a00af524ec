# SPDX-License-Identifier: Apache-2.0
"""Flavors, and the queries on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.base import Base, Timestamps


class Flavor(Timestamps, Base):
    """What a server may be sized as; servers keep a copy, so a flavor may go while they stay."""

    __tablename__ = "flavors"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap_mb: Mapped[int] = mapped_column(default=0)
    rxtx_factor: Mapped[float] = mapped_column(default=1.0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str | None] = mapped_column(sa.Text)
    extra_specs: Mapped[dict[str, str]] = mapped_column(default=dict)
    projects: Mapped[list[str]] = mapped_column(default=list)  # who may use it when it is not public

    def copy(self) -> dict[str, Any]:
        """What a server keeps of its flavor."""
        return {"id": self.id, "name": self.name, "vcpus": self.vcpus, "ram": self.ram_mb, "disk": self.disk_gb,
                "ephemeral": self.ephemeral_gb, "swap": self.swap_mb, "extra_specs": dict(self.extra_specs)}
