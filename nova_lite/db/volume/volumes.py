# SPDX-License-Identifier: Apache-2.0
"""Volumes: the row, its queries, and the only place that assigns their `status`."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id, utcnow
from nova_lite.db.volume.lists import Filters, Lists, sortable
from nova_lite.lifecycle.volumes import VOLUME_ACTIONS, VolumeStatus

NOT_MIGRATING = (None, "success", "error")  # values of `migration_status`


class Volume(Timestamps, Base):
    """One volume. `host` is its pool: `worker@backend#pool`; None until it is scheduled. Its row goes when it is deleted.

    `provider_name`: of its file or image in the pool. `previous_status`: to which what is under way returns.
    `consumes_quota` false: it is another's copy, made for a while.
    """

    __tablename__ = "volumes"
    __table_args__ = (sa.Index("ix_volumes_project_id_created_at", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str | None]
    description: Mapped[str | None]
    size_gb: Mapped[int]
    status: Mapped[str] = mapped_column(sa.String(32), default=str(VolumeStatus.CREATING))
    previous_status: Mapped[str | None] = mapped_column(sa.String(32))
    migration_status: Mapped[str | None] = mapped_column(sa.String(64))
    availability_zone: Mapped[str | None]
    host: Mapped[str | None] = mapped_column(index=True)
    claimed_gb: Mapped[int] = mapped_column(default=0)  # of its pool
    provider_name: Mapped[str] = mapped_column(sa.String(64))
    volume_type_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    group_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    snapshot_id: Mapped[str | None] = mapped_column(sa.String(36))
    source_volume_id: Mapped[str | None] = mapped_column(sa.String(36))
    image_id: Mapped[str | None] = mapped_column(sa.String(36))
    bootable: Mapped[bool] = mapped_column(default=False)
    multiattach: Mapped[bool] = mapped_column(default=False)
    is_read_only: Mapped[bool] = mapped_column(default=False)
    consumes_quota: Mapped[bool] = mapped_column(default=True)
    encryption_key_id: Mapped[str | None] = mapped_column(sa.String(36))
    metadata_items: Mapped[dict[str, str]] = mapped_column(default=dict)
    admin_metadata: Mapped[dict[str, str]] = mapped_column(default=dict)  # `readonly`, once it was set
    image_metadata: Mapped[dict[str, str]] = mapped_column(default=dict)
    launched_at: Mapped[datetime.datetime | None]

    @property
    def agent(self) -> str | None:
        """The worker's name on the message bus."""
        return None if self.host is None else self.host.partition("@")[0]

    @property
    def backend(self) -> str:
        return "" if self.host is None else self.host.partition("@")[2].partition("#")[0]

    @property
    def pool(self) -> str:
        return "" if self.host is None else self.host.partition("#")[2]


_PREFIX = "volume-"


def provider_name(volume_id: str) -> str:
    """The name of a new volume in its pool, by Cinder's default template."""
    return f"{_PREFIX}{volume_id}"


def name_id(volume: Volume) -> str:
    """The id by which the pool's worker knows the volume: another one's, its copy's, once it has moved."""
    return volume.provider_name.removeprefix(_PREFIX) if volume.provider_name.startswith(_PREFIX) else volume.id


def get(session: Session, volume_id: str, *, project_id: str | None = None) -> Volume:
    """:raises errors.NotFound: none, or another project's (None: any project's will do)."""
    volume = session.get(Volume, volume_id)
    if volume is None or project_id not in (None, volume.project_id):
        raise missing(volume_id)
    return volume


def get_locked(session: Session, volume_id: str, *, project_id: str | None = None) -> Volume:
    """As `get`; other transactions wait to change the row until this one ends."""
    volume = session.scalars(for_update(sa.select(Volume).where(Volume.id == volume_id))).one_or_none()
    if volume is None or project_id not in (None, volume.project_id):
        raise missing(volume_id)
    return volume


def by_ids(session: Session, volume_ids: Collection[str]) -> list[Volume]:
    """The volumes of these ids that exist, of any project, in one query."""
    return list(session.scalars(sa.select(Volume).where(Volume.id.in_(sorted(volume_ids))))) if volume_ids else []


def missing(volume_id: str) -> errors.NotFound:
    return errors.NotFound(f"Volume {volume_id} could not be found.", what="Volume", id=volume_id)


def begin(session: Session, volume: Volume, action: str, *, also_in: Collection[VolumeStatus] = ()) -> None:
    """Claim the volume for an action by one guarded UPDATE, so that two callers cannot both win.

    :raises errors.WrongStatus: lifecycle/volumes.py forbids it now, or the volume is moved to another pool.
    """
    row = VOLUME_ACTIONS[action]
    allowed = sorted({*row.allowed_in, *also_in})
    won = session.execute(
        sa.update(Volume).where(Volume.id == volume.id, Volume.status.in_([str(status) for status in allowed]), _NOT_MOVED)
        .values(status=str(row.shows), previous_status=Volume.status, updated_at=utcnow())
        .execution_options(synchronize_session=False))
    session.refresh(volume)
    if not won.rowcount:  # type: ignore[attr-defined]
        refuse_moved(volume)
        raise errors.WrongStatus(action=action.removesuffix("_volume").replace("_", " "), what="Volume", id=volume.id, status=volume.status,
                                 allowed=", ".join(str(status) for status in allowed))


# A move to another pool is under way. The volume keeps its status, and what is written to it meanwhile would be lost.
_NOT_MOVED = sa.or_(Volume.migration_status.is_(None), Volume.migration_status.in_(("success", "error")), Volume.migration_status.like("target:%"))


def refuse_moved(volume: Volume) -> None:
    """:raises errors.WrongStatus: the volume is moved to another pool."""
    if volume.migration_status not in NOT_MIGRATING and not str(volume.migration_status).startswith("target:"):
        raise errors.WrongStatus(f"Volume {volume.id} is migrating: try again when it is in its new pool.")


def copies_of(session: Session, volume_id: str) -> list[Volume]:
    """The volumes into which a retype or a migration copies this one."""
    return list(session.scalars(sa.select(Volume).where(Volume.migration_status == f"target:{volume_id}")))


def begin_migration(session: Session, volume: Volume, *, is_locked: bool) -> None:
    """Claim the volume for a move to another pool by one guarded UPDATE. It keeps its status, or shows maintenance (`is_locked`).

    :raises errors.WrongStatus: its status forbids it. :raises errors.BadRequest: it is migrating already.
    """
    allowed = (VolumeStatus.AVAILABLE, VolumeStatus.IN_USE)
    values: dict[str, Any] = {"status": str(VolumeStatus.MAINTENANCE), "previous_status": Volume.status} if is_locked else {}
    won = session.execute(
        sa.update(Volume).where(Volume.id == volume.id, Volume.status.in_([str(status) for status in allowed]),
                                sa.or_(Volume.migration_status.is_(None), Volume.migration_status.in_(("success", "error"))))
        .values(migration_status="starting", updated_at=utcnow(), **values).execution_options(synchronize_session=False))
    session.refresh(volume)
    if won.rowcount:  # type: ignore[attr-defined]
        return
    if volume.status not in allowed:
        raise errors.WrongStatus(action="migrate", what="Volume", id=volume.id, status=volume.status, allowed=", ".join(allowed))
    raise errors.BadRequest(reason=f"Volume {volume.id} is already part of an active migration.")


def end_migration(session: Session, volume_id: str, *, status: str) -> None:
    """The move has ended, with this migration_status; a volume that showed maintenance shows what it did before."""
    at_rest = sa.case((Volume.status == str(VolumeStatus.MAINTENANCE), _before()), else_=Volume.status)
    session.execute(sa.update(Volume).where(Volume.id == volume_id).values(
        migration_status=status, status=at_rest, previous_status=None, updated_at=utcnow()).execution_options(synchronize_session=False))


def finish(session: Session, volume_id: str, action: str, **values: Any) -> bool:  # columns
    """The action is done; `values`: other columns that it leads to. False: another action has taken the volume."""
    row = VOLUME_ACTIONS[action]
    leads_to: Any = str(row.leads_to) if row.leads_to is not None else _before()
    return _end(session, volume_id, action, leads_to, values)


def fail(session: Session, volume_id: str, action: str, **values: Any) -> bool:  # columns
    """The action failed: the volume shows an error of its kind, or what it was before."""
    row = VOLUME_ACTIONS[action]
    fails_to: Any = str(row.fails_to) if row.fails_to is not None else _before()
    return _end(session, volume_id, action, fails_to, values)


def set_error(session: Session, volume_id: str) -> None:
    """The volume is in error, whatever was under way."""
    session.execute(sa.update(Volume).where(Volume.id == volume_id).values(
        status=str(VolumeStatus.ERROR), previous_status=None, updated_at=utcnow()).execution_options(synchronize_session=False))


def _before() -> Any:  # an expression
    return sa.func.coalesce(Volume.previous_status, str(VolumeStatus.ERROR))


def _end(session: Session, volume_id: str, action: str, status: Any, values: dict[str, Any]) -> bool:
    shows = [str(VOLUME_ACTIONS[action].shows)]
    if action == "create_volume":
        shows.append(str(VolumeStatus.DOWNLOADING))
    ended = session.execute(
        sa.update(Volume).where(Volume.id == volume_id, Volume.status.in_(shows))
        .values(status=status, previous_status=None, updated_at=utcnow(), **values).execution_options(synchronize_session=False))
    return bool(ended.rowcount)  # type: ignore[attr-defined]


# A volume that another one moves to is shown to administrators only.
_TARGET = sa.func.coalesce(Volume.migration_status, "").like("target:%")
_TABLE: Any = Volume.__table__
_COLUMNS: dict[str, Any] = {
    **{name: _TABLE.c[name] for name in (
        "id", "name", "description", "status", "created_at", "updated_at", "availability_zone", "bootable", "migration_status", "host",
        "volume_type_id", "user_id", "project_id", "snapshot_id", "multiattach", "consumes_quota", "group_id")},
    "size": _TABLE.c.size_gb, "source_volid": _TABLE.c.source_volume_id,
}
LISTS = Lists(
    Volume, _COLUMNS, {"display_name": sortable(_TABLE.c.name), **{name: sortable(column) for name, column in _COLUMNS.items()}},
    items={"metadata": _TABLE.c.metadata_items, "glance_metadata": _TABLE.c.image_metadata}, hidden=_TARGET)
BY_PROVIDER_NAME: dict[str, Any] = {"id": _TABLE.c.id, "reference": _TABLE.c.provider_name, "size": _TABLE.c.size_gb}


def is_known(session: Session, name: str) -> bool:
    """Whether a volume has this name in its pool."""
    return session.scalar(sa.select(sa.exists().where(Volume.provider_name == name))) is True


def summary(session: Session, filters: Filters) -> tuple[int, int]:
    """How many volumes match, and their size together in GiB."""
    sums = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Volume.size_gb), 0)).where(*LISTS.where(filters))
    count, size_gb = session.execute(sums).one()
    return int(count), int(size_gb)


def metadata_values(session: Session, filters: Filters) -> dict[str, list[str]]:
    """The values of each metadata key among the volumes that match."""
    values: dict[str, set[str]] = {}
    for items in session.scalars(sa.select(Volume.metadata_items).where(*LISTS.where(filters))):
        for key, value in items.items():
            values.setdefault(key, set()).add(value)
    return {key: sorted(found) for key, found in sorted(values.items())}


def copied_from(session: Session, *, snapshot_id: str | None = None, volume_id: str | None = None) -> str | None:
    """Id of a volume that is being made from the snapshot or the volume, whose row the caller has locked; None: there is none."""
    source = Volume.snapshot_id == snapshot_id if snapshot_id is not None else Volume.source_volume_id == volume_id
    making = (str(VolumeStatus.CREATING), str(VolumeStatus.DOWNLOADING))
    return session.scalar(sa.select(Volume.id).where(source, Volume.status.in_(making)).limit(1))


def refuse_copied(session: Session, volume: Volume) -> None:
    """:raises errors.BadRequest: another volume is being made from this one, whose row the caller has locked."""
    copy = copied_from(session, volume_id=volume.id)
    if copy is not None:
        raise errors.BadRequest(reason=f"Volume {copy} is being made from volume {volume.id}: try again when that one is available.")


def set_status(
    session: Session, volume: Volume, status: VolumeStatus, *, among: Collection[VolumeStatus], **values: Any,  # columns
) -> bool:
    """The volume, which is in one of `among`, gets the status by one guarded UPDATE; False: it is not in one of them."""
    changed = session.execute(
        sa.update(Volume).where(Volume.id == volume.id, Volume.status.in_([str(one) for one in among]))
        .values(status=str(status), updated_at=utcnow(), **values).execution_options(synchronize_session=False))
    session.refresh(volume)
    return bool(changed.rowcount)  # type: ignore[attr-defined]
