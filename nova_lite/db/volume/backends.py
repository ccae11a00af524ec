# SPDX-License-Identifier: Apache-2.0
"""What operators have changed of backends of volume workers: those that get no new volumes. Others have no row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base, InsertUnlessTaken


class VolumeBackend(Base):
    """One backend, `name` = `agent@backend`. `is_frozen`: no new volumes, as when it is disabled; the two are set and shown apart."""

    __tablename__ = "volume_backends"

    name: Mapped[str] = mapped_column(primary_key=True)
    is_disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None]
    is_frozen: Mapped[bool] = mapped_column(default=False)


def changed(session: Session) -> dict[str, VolumeBackend]:
    """The rows, by name; one query."""
    return {row.name: row for row in session.scalars(sa.select(VolumeBackend))}


def closed(session: Session) -> set[str]:
    """Names of the backends that get no new volumes; one query."""
    return set(session.scalars(sa.select(VolumeBackend.name).where(VolumeBackend.is_disabled | VolumeBackend.is_frozen)))


def set_disabled(session: Session, name: str, *, is_disabled: bool, reason: str | None = None) -> None:
    """As an operator's request: a backend that is disabled gets no volume of which the pool is not yet picked."""
    _change(session, name, is_disabled=is_disabled, disabled_reason=reason)


def set_frozen(session: Session, name: str, *, is_frozen: bool) -> None:
    """As an operator's request."""
    _change(session, name, is_frozen=is_frozen)


def _change(session: Session, name: str, **values: Any) -> None:  # columns
    session.execute(InsertUnlessTaken(VolumeBackend).values(name=name, is_disabled=False, is_frozen=False))
    session.execute(sa.update(VolumeBackend).where(VolumeBackend.name == name).values(**values).execution_options(synchronize_session=False))
