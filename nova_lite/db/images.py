# SPDX-License-Identifier: Apache-2.0
"""Images of the built-in image face, and the queries on them."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.base import Base, Timestamps, new_id


class Image(Timestamps, Base):
    """One image. `hash_value` is the sha512 of its bytes; `properties` are the free ones."""

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str | None]
    status: Mapped[str] = mapped_column(sa.String(16), default="queued")
    visibility: Mapped[str] = mapped_column(sa.String(16), default="shared")
    disk_format: Mapped[str | None] = mapped_column(sa.String(16))
    container_format: Mapped[str | None] = mapped_column(sa.String(16))
    min_disk_gb: Mapped[int] = mapped_column(default=0)
    min_ram_mb: Mapped[int] = mapped_column(default=0)
    size: Mapped[int | None] = mapped_column(sa.BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(sa.BigInteger)
    checksum: Mapped[str | None] = mapped_column(sa.String(32))
    hash_value: Mapped[str | None] = mapped_column(sa.String(128))
    protected: Mapped[bool] = mapped_column(default=False)
    os_hidden: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[list[str]] = mapped_column(default=list)
    properties: Mapped[dict[str, str]] = mapped_column(default=dict)
    deleted_at: Mapped[datetime.datetime | None]
