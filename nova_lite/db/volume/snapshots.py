# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes: the row, its queries, and the only place that assigns their `status`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id, utcnow
from nova_lite.db.volume.lists import Lists, sortable
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import SnapshotStatus

_DELETABLE = (SnapshotStatus.AVAILABLE, SnapshotStatus.ERROR, SnapshotStatus.ERROR_DELETING)


class VolumeSnapshot(Timestamps, Base):
    """One snapshot; its row goes when it is deleted. `provider_name`: of its file or image in the volume's pool."""

    __tablename__ = "volume_snapshots"
    __table_args__ = (sa.Index("ix_volume_snapshots_project_id_created_at", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    volume_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    group_snapshot_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    name: Mapped[str | None]
    description: Mapped[str | None]
    size_gb: Mapped[int]
    status: Mapped[str] = mapped_column(sa.String(32), default=str(SnapshotStatus.CREATING))
    progress: Mapped[int] = mapped_column(default=0)
    provider_name: Mapped[str] = mapped_column(sa.String(64))
    volume_type_id: Mapped[str | None] = mapped_column(sa.String(36))
    consumes_quota: Mapped[bool] = mapped_column(default=True)
    encryption_key_id: Mapped[str | None] = mapped_column(sa.String(36))
    metadata_items: Mapped[dict[str, str]] = mapped_column(default=dict)


def provider_name(snapshot_id: str) -> str:
    """The name of a new snapshot in its pool, by Cinder's default template."""
    return f"_snapshot-{snapshot_id}"


def get(session: Session, snapshot_id: str, *, project_id: str | None = None) -> VolumeSnapshot:
    """:raises errors.NotFound: none, or another project's (None: any project's will do)."""
    snapshot = session.get(VolumeSnapshot, snapshot_id)
    if snapshot is None or project_id not in (None, snapshot.project_id):
        raise missing(snapshot_id)
    return snapshot


def get_locked(session: Session, snapshot_id: str, *, project_id: str | None = None) -> VolumeSnapshot:
    """As `get`; other transactions wait to change the row until this one ends."""
    snapshot = session.scalars(for_update(sa.select(VolumeSnapshot).where(VolumeSnapshot.id == snapshot_id))).one_or_none()
    if snapshot is None or project_id not in (None, snapshot.project_id):
        raise missing(snapshot_id)
    return snapshot


def missing(snapshot_id: str) -> errors.NotFound:
    return errors.NotFound(f"Snapshot {snapshot_id} could not be found.", what="Snapshot", id=snapshot_id)


def of_volume(session: Session, volume_id: str) -> list[VolumeSnapshot]:
    """The volume's snapshots, oldest first."""
    return list(session.scalars(sa.select(VolumeSnapshot).where(VolumeSnapshot.volume_id == volume_id).order_by(
        VolumeSnapshot.created_at, VolumeSnapshot.id)))


def begin_delete(session: Session, snapshot: VolumeSnapshot, *, is_forced: bool = False) -> None:
    """Claim the snapshot for its deletion by one guarded UPDATE; `is_forced`: in every status.

    :raises errors.WrongStatus: its status forbids it.
    """
    allowed = [str(status) for status in (SnapshotStatus if is_forced else _DELETABLE)]
    if not set_status(session, snapshot.id, SnapshotStatus.DELETING, among=allowed):
        session.refresh(snapshot)
        raise errors.WrongStatus(action="delete", what="Snapshot", id=snapshot.id, status=snapshot.status, allowed=", ".join(allowed))
    session.refresh(snapshot)


def set_status(session: Session, snapshot_id: str, status: SnapshotStatus, *, among: list[str], **values: Any) -> bool:  # columns
    """The snapshot, which is in one of `among`, gets the status; False: it is not in one of them."""
    changed = session.execute(
        sa.update(VolumeSnapshot).where(VolumeSnapshot.id == snapshot_id, VolumeSnapshot.status.in_(among))
        .values(status=str(status), updated_at=utcnow(), **values).execution_options(synchronize_session=False))
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def end_restoring(session: Session, snapshot_id: str) -> None:
    """A revert to the snapshot has ended."""
    set_status(session, snapshot_id, SnapshotStatus.AVAILABLE, among=[str(SnapshotStatus.RESTORING)])


def delete(session: Session, snapshot_id: str) -> None:
    """Remove the row; none is fine."""
    session.execute(sa.delete(VolumeSnapshot).where(VolumeSnapshot.id == snapshot_id).execution_options(synchronize_session=False))


def latest(session: Session, volume_id: str) -> VolumeSnapshot | None:
    """The volume's newest snapshot; None: it has none."""
    return session.scalars(sa.select(VolumeSnapshot).where(VolumeSnapshot.volume_id == volume_id).order_by(
        VolumeSnapshot.created_at.desc(), VolumeSnapshot.id.desc()).limit(1)).first()


def any_of(session: Session, volume_id: str) -> bool:
    """Whether the volume has snapshots."""
    return session.scalar(sa.select(sa.exists().where(VolumeSnapshot.volume_id == volume_id))) is True


_TABLE: Any = VolumeSnapshot.__table__
_COLUMNS: dict[str, Any] = {
    **{name: _TABLE.c[name] for name in (
        "id", "name", "description", "status", "volume_id", "created_at", "updated_at", "user_id", "project_id", "consumes_quota")},
    "size": _TABLE.c.size_gb, "volume_size": _TABLE.c.size_gb,
    "availability_zone": sa.select(Volume.availability_zone).where(Volume.id == _TABLE.c.volume_id).scalar_subquery(),
}
LISTS = Lists(
    VolumeSnapshot, _COLUMNS, {
        "display_name": sortable(_TABLE.c.name), **{name: sortable(column) for name, column in _COLUMNS.items() if name != "availability_zone"}},
    items={"metadata": _TABLE.c.metadata_items})
BY_PROVIDER_NAME: dict[str, Any] = {"id": _TABLE.c.id, "reference": _TABLE.c.provider_name, "size": _TABLE.c.size_gb}


def of_pool(pool: str) -> sa.Select[Any]:
    """The snapshots of the pool's volumes."""
    return sa.select(VolumeSnapshot).join(Volume, Volume.id == VolumeSnapshot.volume_id).where(Volume.host == pool)


def is_known(session: Session, name: str) -> bool:
    """Whether a snapshot has this name in its pool."""
    return session.scalar(sa.select(sa.exists().where(VolumeSnapshot.provider_name == name))) is True
