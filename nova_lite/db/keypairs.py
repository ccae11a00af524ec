# SPDX-License-Identifier: Apache-2.0
"""Keypairs, and the queries on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.base import Base, Timestamps


class Keypair(Timestamps, Base):
    """A user's public key. The private half is never stored."""

    __tablename__ = "keypairs"
    __table_args__ = (sa.UniqueConstraint("user_id", "name"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str]
    type: Mapped[str] = mapped_column(sa.String(8), default="ssh")
    fingerprint: Mapped[str]
    public_key: Mapped[str] = mapped_column(sa.Text)
