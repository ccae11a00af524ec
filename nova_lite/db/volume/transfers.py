# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes to other projects: offered with a key, which the taker must know, until accepted or withdrawn."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id
from nova_lite.db.volume.lists import Lists, sortable

_KEY_BYTES = 8  # 16 digits, as Cinder's: it is typed


class VolumeTransfer(Timestamps, Base):
    """One volume that its project, `project_id`, offers. Of the key only a salted hash is kept."""

    __tablename__ = "volume_transfers"
    __table_args__ = (sa.Index("ix_volume_transfers_project_id_created_at", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    volume_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str | None]
    no_snapshots: Mapped[bool] = mapped_column(default=False)
    salt: Mapped[str] = mapped_column(sa.String(32))
    key_hash: Mapped[str] = mapped_column(sa.String(64))

    def has_key(self, key: str) -> bool:
        """Whether the transfer was offered with this key."""
        return hmac.compare_digest(_hash(self.salt, key), self.key_hash)


def _hash(salt: str, key: str) -> str:
    return hashlib.sha256(f"{salt}:{key}".encode()).hexdigest()


def offer(session: Session, transfer: VolumeTransfer) -> str:
    """Add the transfer; its key, which nobody sees again."""
    key = secrets.token_hex(_KEY_BYTES)
    transfer.salt = secrets.token_hex(16)
    transfer.key_hash = _hash(transfer.salt, key)
    session.add(transfer)
    session.flush()
    return key


def get(session: Session, transfer_id: str, *, project_id: str | None = None) -> VolumeTransfer:
    """:raises errors.NotFound: none, or another project's (None: any project's will do)."""
    return _one(session, transfer_id, project_id, sa.select(VolumeTransfer).where(VolumeTransfer.id == transfer_id))


def get_locked(session: Session, transfer_id: str, *, project_id: str | None = None) -> VolumeTransfer:
    """As `get`; other transactions wait to end the transfer until this one does."""
    return _one(session, transfer_id, project_id, for_update(sa.select(VolumeTransfer).where(VolumeTransfer.id == transfer_id)))


def _one(session: Session, transfer_id: str, project_id: str | None, query: Any) -> VolumeTransfer:  # a select
    transfer: VolumeTransfer | None = session.scalars(query).one_or_none()
    if transfer is None or project_id not in (None, transfer.project_id):
        raise errors.NotFound(f"Transfer {transfer_id} could not be found.", what="Transfer", id=transfer_id)
    return transfer


def of_volume(session: Session, volume_id: str) -> VolumeTransfer | None:
    """The volume's transfer; None: it is not offered."""
    return session.scalars(sa.select(VolumeTransfer).where(VolumeTransfer.volume_id == volume_id)).one_or_none()


_TABLE: Any = VolumeTransfer.__table__
_COLUMNS: dict[str, Any] = {name: _TABLE.c[name] for name in ("id", "name", "volume_id", "project_id", "created_at", "updated_at")}
LISTS = Lists(VolumeTransfer, _COLUMNS, {name: sortable(column) for name, column in _COLUMNS.items()})
