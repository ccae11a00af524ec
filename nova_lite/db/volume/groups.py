# SPDX-License-Identifier: Apache-2.0
"""Groups of volumes and snapshots of groups: rows whose progress is that of their volumes and snapshots, so that no worker has part in them.

One that is being deleted is gone as soon as nothing is left in it; the purge removes its row.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id
from nova_lite.db.volume.lists import Lists, sortable
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume

CREATING, AVAILABLE, DELETING, ERROR, ERROR_DELETING = "creating", "available", "deleting", "error", "error_deleting"
STATUSES = (CREATING, AVAILABLE, "updating", DELETING, "in-use", ERROR, ERROR_DELETING)  # that an admin may set
_SET = "set "  # before a status that an admin has set, where it would else follow from the members


class VolumeGroup(Timestamps, Base):
    """One group. `status` is what was requested of it last; STATUS is what it shows. `volume_type_ids`: of the volumes that it may have."""

    __tablename__ = "volume_groups"
    __table_args__ = (sa.Index("ix_volume_groups_project_id_created_at", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(sa.String(32), default=CREATING)
    availability_zone: Mapped[str | None]
    group_type_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    volume_type_ids: Mapped[list[str]] = mapped_column(default=list)
    group_snapshot_id: Mapped[str | None] = mapped_column(sa.String(36))
    source_group_id: Mapped[str | None] = mapped_column(sa.String(36))


class GroupSnapshot(Timestamps, Base):
    """A snapshot of each volume of a group. `status` as of groups."""

    __tablename__ = "volume_group_snapshots"
    __table_args__ = (sa.Index("ix_volume_group_snapshots_project_id_created_at", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    group_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(sa.String(32), default=CREATING)
    group_type_id: Mapped[str] = mapped_column(sa.String(36))


def _has(member: Any, owner_id: Any, *statuses: str) -> Any:  # a condition on columns
    """That the group, or the group snapshot, has a member; in one of these statuses."""
    table, of_owner = member
    conditions = [of_owner == owner_id, *([table.status.in_(statuses)] if statuses else [])]
    return sa.exists().where(*conditions)


def _shown(row: Any, member: Any) -> Any:
    """What it shows: while it is made or deleted, that follows from its members."""
    is_creating, is_deleting = row.status == CREATING, row.status == DELETING
    return sa.case(
        (is_creating & _has(member, row.id, "creating", "downloading"), CREATING), (is_creating & _has(member, row.id, "error"), ERROR),
        (is_creating, AVAILABLE), (is_deleting & _has(member, row.id, ERROR_DELETING), ERROR_DELETING),
        (row.status == _SET + CREATING, CREATING), (row.status == _SET + DELETING, DELETING), else_=row.status)


def reset(row: VolumeGroup | GroupSnapshot, status: str) -> None:
    """It shows this status, whatever its members are in, until something else is done to it."""
    row.status = _SET + status if status in (CREATING, DELETING) else status


_VOLUMES, _SNAPSHOTS = (Volume, Volume.group_id), (VolumeSnapshot, VolumeSnapshot.group_snapshot_id)
_MEMBERS: dict[Any, Any] = {VolumeGroup: _VOLUMES, GroupSnapshot: _SNAPSHOTS}
_STATUS: dict[Any, Any] = {row: _shown(row, member) for row, member in _MEMBERS.items()}
_IS_GONE: dict[Any, Any] = {row: (row.status == DELETING) & sa.not_(_has(member, row.id)) for row, member in _MEMBERS.items()}


def _lists(row: Any, *names: str) -> Lists[Any]:
    table = row.__table__
    columns = {name: table.c[name] for name in ("id", "name", "created_at", "updated_at", "project_id", "user_id", "group_type_id", *names)}
    return Lists(row, {**columns, "status": _STATUS[row]}, {name: sortable(column) for name, column in columns.items()}, always=sa.not_(_IS_GONE[row]))


GROUP_LISTS: Lists[VolumeGroup] = _lists(VolumeGroup, "availability_zone", "group_snapshot_id", "source_group_id")
SNAPSHOT_LISTS: Lists[GroupSnapshot] = _lists(GroupSnapshot, "group_id")


def get(session: Session, group_id: str, *, project_id: str | None, is_locked: bool = False) -> VolumeGroup:
    """The group. `is_locked`: others wait to change it, and to give it volumes, until the transaction ends.

    :raises errors.NotFound: none, or another project's (None: any project's will do).
    """
    found: VolumeGroup = _get(session, VolumeGroup, "Group", group_id, project_id, is_locked=is_locked)
    return found


def get_snapshot(session: Session, snapshot_id: str, *, project_id: str | None, is_locked: bool = False) -> GroupSnapshot:
    """As `get`, of a group's snapshot."""
    found: GroupSnapshot = _get(session, GroupSnapshot, "GroupSnapshot", snapshot_id, project_id, is_locked=is_locked)
    return found


def _get(session: Session, row: Any, what: str, row_id: str, project_id: str | None, *, is_locked: bool) -> Any:
    query = sa.select(row).where(row.id == row_id, *([] if project_id is None else [row.project_id == project_id]))
    found = session.scalars(for_update(query) if is_locked else query).one_or_none()
    if found is None or session.scalar(sa.select(row.id).where(row.id == row_id, _IS_GONE[row])):
        raise errors.NotFound(f"{what} {row_id} could not be found.", what=what, id=row_id)
    return found


def statuses(session: Session, rows: list[Any]) -> dict[str, str]:
    """What these groups, or these group snapshots, show, by id; one query, and none for no rows."""
    if not rows:
        return {}
    row = type(rows[0])
    return {found: status for found, status in session.execute(sa.select(row.id, _STATUS[row]).where(row.id.in_([one.id for one in rows])))}


def volumes_of(session: Session, group_id: str) -> list[Volume]:
    """The group's volumes, oldest first."""
    return list(session.scalars(sa.select(Volume).where(Volume.group_id == group_id).order_by(Volume.created_at, Volume.id)))


def volume_ids(session: Session, group_ids: list[str]) -> dict[str, list[str]]:
    """The ids of the volumes by group, oldest first; one query, and none for no groups."""
    found: dict[str, list[str]] = {}
    query = sa.select(Volume.group_id, Volume.id).where(Volume.group_id.in_(group_ids)).order_by(Volume.created_at, Volume.id)
    for group_id, volume_id in session.execute(query) if group_ids else ():
        found.setdefault(str(group_id), []).append(volume_id)
    return found


def snapshots_of(session: Session, group_snapshot_id: str) -> list[VolumeSnapshot]:
    """The snapshots that are the group's, oldest first."""
    return list(session.scalars(sa.select(VolumeSnapshot).where(VolumeSnapshot.group_snapshot_id == group_snapshot_id).order_by(
        VolumeSnapshot.created_at, VolumeSnapshot.id)))


def has_snapshots(session: Session, group_id: str) -> bool:
    """Whether there is a snapshot of the group."""
    return session.scalar(sa.select(GroupSnapshot.id).where(
        GroupSnapshot.group_id == group_id, sa.not_(_IS_GONE[GroupSnapshot])).limit(1)) is not None


def of_type(group_type_id: str) -> Any:
    """The ids of the groups of a type, as a query."""
    return sa.select(VolumeGroup.id).where(VolumeGroup.group_type_id == group_type_id, sa.not_(_IS_GONE[VolumeGroup]))


def count(session: Session, project_id: str) -> int:
    """How many groups the project has."""
    return session.scalar(sa.select(sa.func.count()).select_from(VolumeGroup).where(
        VolumeGroup.project_id == project_id, sa.not_(_IS_GONE[VolumeGroup]))) or 0


def purge(session: Session, *, limit: int) -> int:
    """Remove the rows of groups and group snapshots that are gone; how many went."""
    removed = 0
    for row in _MEMBERS:
        ids = list(session.scalars(sa.select(row.id).where(_IS_GONE[row]).limit(limit)))
        if ids:
            removed += len(ids)
            session.execute(sa.delete(row).where(row.id.in_(ids)).execution_options(synchronize_session=False))
    return removed
