# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes: the row, its queries, and the only place that assigns their `status`."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id, utcnow
from nova_lite.db.volume import snapshots, volumes
from nova_lite.db.volume.lists import Lists, sortable
from nova_lite.lifecycle.volumes import BackupStatus, SnapshotStatus

DELETABLE = (BackupStatus.AVAILABLE, BackupStatus.ERROR, BackupStatus.ERROR_DELETING)


class VolumeBackup(Timestamps, Base):
    """One backup; its row goes when it is deleted. `parent_id`: of the backup that it adds to; None: it is a full one.

    `of_volume`: what a volume that is restored from it gets beside the content: metadata, image_metadata, bootable, volume_type_id.
    `details`: where the content is, as its worker keeps it. `data_timestamp`: the moment whose content it has.
    """

    __tablename__ = "volume_backups"
    __table_args__ = (sa.Index("ix_volume_backups_project_id_created_at", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    volume_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str | None]
    description: Mapped[str | None]
    size_gb: Mapped[int]
    status: Mapped[str] = mapped_column(sa.String(32), default=str(BackupStatus.CREATING))
    availability_zone: Mapped[str | None]
    container: Mapped[str | None]
    snapshot_id: Mapped[str | None] = mapped_column(sa.String(36))
    parent_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    data_timestamp: Mapped[datetime.datetime | None]
    object_count: Mapped[int] = mapped_column(default=0)
    fail_reason: Mapped[str | None] = mapped_column(sa.Text)
    host: Mapped[str | None]  # of the worker that made it
    encryption_key_id: Mapped[str | None] = mapped_column(sa.String(36))
    metadata_items: Mapped[dict[str, str]] = mapped_column(default=dict)
    of_volume: Mapped[dict[str, Any]] = mapped_column(default=dict)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


def get(session: Session, backup_id: str, *, project_id: str | None = None) -> VolumeBackup:
    """:raises errors.NotFound: none, or another project's (None: any project's will do)."""
    return _one(session, backup_id, project_id, sa.select(VolumeBackup).where(VolumeBackup.id == backup_id))


def get_locked(session: Session, backup_id: str, *, project_id: str | None = None) -> VolumeBackup:
    """As `get`; other transactions wait to change the row until this one ends."""
    return _one(session, backup_id, project_id, for_update(sa.select(VolumeBackup).where(VolumeBackup.id == backup_id)))


def _one(session: Session, backup_id: str, project_id: str | None, query: Any) -> VolumeBackup:  # a select
    backup: VolumeBackup | None = session.scalars(query).one_or_none()
    if backup is None or project_id not in (None, backup.project_id):
        raise errors.NotFound(f"Backup {backup_id} could not be found.", what="Backup", id=backup_id)
    return backup


def newest(session: Session, volume_id: str, *, project_id: str, before: datetime.datetime | None) -> VolumeBackup | None:
    """The project's newest available backup of the volume, of a moment before that (None: of any); None: it has none.

    A volume that was transferred has backups of the project that had it before, which that project may delete, and needs nobody's leave.
    """
    query = sa.select(VolumeBackup).where(VolumeBackup.volume_id == volume_id, VolumeBackup.project_id == project_id,
                                          VolumeBackup.status == str(BackupStatus.AVAILABLE))
    if before is not None:
        query = query.where(VolumeBackup.data_timestamp < before)
    return session.scalars(query.order_by(VolumeBackup.data_timestamp.desc(), VolumeBackup.id.desc()).limit(1)).first()


def with_dependents(session: Session, backup_ids: Collection[str]) -> set[str]:
    """Those of the backups that others add to; one query."""
    if not backup_ids:
        return set()
    parents = sa.select(VolumeBackup.parent_id).where(VolumeBackup.parent_id.in_(sorted(backup_ids)))
    return {str(parent) for parent in session.scalars(parents)}


def set_status(
    session: Session, backup: VolumeBackup, status: BackupStatus, *, among: Collection[BackupStatus], **values: Any,  # columns
) -> bool:
    """The backup, which is in one of `among`, gets the status by one guarded UPDATE; False: it is not in one of them."""
    changed = session.execute(
        sa.update(VolumeBackup).where(VolumeBackup.id == backup.id, VolumeBackup.status.in_([str(one) for one in among]))
        .values(status=str(status), updated_at=utcnow(), **values).execution_options(synchronize_session=False))
    session.refresh(backup)
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def end_claims(session: Session, backup: VolumeBackup) -> None:
    """What the backup is made of shows again what it did before, unless another backup is made of it now."""
    others = sa.select(sa.exists().where(
        VolumeBackup.volume_id == backup.volume_id, VolumeBackup.id != backup.id, VolumeBackup.status == str(BackupStatus.CREATING),
        VolumeBackup.snapshot_id.is_(None) if backup.snapshot_id is None else VolumeBackup.snapshot_id == backup.snapshot_id))
    if session.scalar(others):
        return
    if backup.snapshot_id is not None:
        snapshots.set_status(session, backup.snapshot_id, SnapshotStatus.AVAILABLE, among=[str(SnapshotStatus.BACKING_UP)])
    else:
        volumes.finish(session, backup.volume_id, "backup_volume")


def used(session: Session, project_id: str) -> tuple[int, int]:
    """How many backups the project has, and their size together in GiB."""
    sums = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(VolumeBackup.size_gb), 0)).where(VolumeBackup.project_id == project_id)
    count, size_gb = session.execute(sums).one()
    return int(count), int(size_gb)


def delete(session: Session, backup_id: str) -> None:
    """Remove the row; none is fine."""
    session.execute(sa.delete(VolumeBackup).where(VolumeBackup.id == backup_id).execution_options(synchronize_session=False))


_TABLE: Any = VolumeBackup.__table__
_COLUMNS: dict[str, Any] = {
    **{name: _TABLE.c[name] for name in (
        "id", "name", "description", "status", "volume_id", "snapshot_id", "container", "availability_zone", "created_at", "updated_at", "user_id",
        "project_id", "data_timestamp", "parent_id", "host")},
    "size": _TABLE.c.size_gb}
LISTS = Lists(VolumeBackup, _COLUMNS, {name: sortable(column) for name, column in _COLUMNS.items()})
