# SPDX-License-Identifier: Apache-2.0
"""Quotas of block storage: limits of projects and of all by class where they differ from the configured; usage is counted from rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base
from nova_lite.db.quotas import quota_locks
from nova_lite.db.volume import backups, groups
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume

_OPTIONS = {
    "volumes": "quota_volumes", "snapshots": "quota_snapshots", "gigabytes": "quota_gigabytes", "backups": "quota_backups",
    "backup_gigabytes": "quota_backup_gigabytes", "groups": "quota_groups", "per_volume_gigabytes": "per_volume_size_limit",
}
NAMES = tuple(_OPTIONS)
OF_TYPES = ("volumes", "gigabytes", "snapshots")  # each also as NAME_TYPE, for the volumes of one type
PER_VOLUME = "per_volume_gigabytes"  # a bound of each volume, not of their sum
DEFAULT_CLASS = "default"


class VolumeQuota(Base):
    """One limit of one project; -1: none."""

    __tablename__ = "volume_quotas"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(300), primary_key=True)
    hard_limit: Mapped[int]


class VolumeQuotaClass(Base):
    """One limit of all projects that have none of their own, in place of the configured; only class `default` is read."""

    __tablename__ = "volume_quota_classes"

    class_name: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(300), primary_key=True)
    hard_limit: Mapped[int]


def of_type(name: str, type_name: str) -> str:
    """The quota of volumes of one type: `gigabytes_lvm`."""
    return f"{name}_{type_name}"


def for_volume(type_name: str | None, size_gb: int) -> dict[str, int]:
    """What a new volume of this type and size needs."""
    return {"volumes": 1, PER_VOLUME: size_gb, "gigabytes": size_gb, **_typed(type_name, volumes=1, gigabytes=size_gb)}


def for_growth(type_name: str | None, *, from_gb: int, to_gb: int) -> dict[str, int]:
    """What a volume needs to grow."""
    grown = to_gb - from_gb
    return {PER_VOLUME: to_gb, "gigabytes": grown, **_typed(type_name, gigabytes=grown)}


def for_snapshot(conf: cfg.ConfigOpts, type_name: str | None, size_gb: int) -> dict[str, int]:
    """What a new snapshot of a volume of this type and size needs."""
    size = {} if conf.no_snapshot_gb_quota else {"gigabytes": size_gb}
    return {"snapshots": 1, **size, **_typed(type_name, snapshots=1, **size)}


def for_backup(size_gb: int) -> dict[str, int]:
    """What a new backup of a volume of this size needs."""
    return {"backups": 1, "backup_gigabytes": size_gb}


def for_retype(type_name: str, size_gb: int) -> dict[str, int]:
    """What a volume needs to become one of this type."""
    return _typed(type_name, volumes=1, gigabytes=size_gb)


def _typed(type_name: str | None, **wanted: int) -> dict[str, int]:
    return {} if type_name is None else {of_type(name, type_name): count for name, count in wanted.items()}


def total(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What all of these need together."""
    wanted: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            wanted[name] = max(wanted.get(name, 0), count) if name == PER_VOLUME else wanted.get(name, 0) + count
    return wanted


def check(session: Session, conf: cfg.ConfigOpts, project_id: str, wanted: Mapping[str, int]) -> None:
    """Take the project's quota lock until the transaction ends, and see that so much more is within its limits.

    `wanted` by quota, such as `{"volumes": 1, "gigabytes": 5, "volumes_lvm": 1}`; what is not positive needs nothing.

    :raises errors.OverVolumeQuota: it is not.
    """
    quota_locks.take(session, project_id)
    limited = _set_limits(session, conf, project_id)
    bounded = {name: count for name, count in wanted.items() if count > 0 and limited.get(name, -1) >= 0}
    used = usage(session, conf, project_id, {_kind(name) for name in bounded})
    for name, count in bounded.items():
        present = used.get(name, 0)
        if present + count > limited[name]:
            raise errors.OverVolumeQuota(what=name, requested=count, used=present, limit=limited[name])


def _set_limits(session: Session, conf: cfg.ConfigOpts, project_id: str) -> dict[str, int]:
    """The configured limits, and those that the default class and the project set, of types too; one query."""
    found = {name: int(conf[option]) for name, option in _OPTIONS.items()}
    found.update((resource, limit) for _, resource, limit in session.execute(_LIMITS, {"project": project_id}))
    return found


def _kind(name: str) -> str:
    """The quota without its type: `gigabytes` of `gigabytes_lvm`."""
    return name if name in NAMES else name.partition("_")[0]


def usage(session: Session, conf: cfg.ConfigOpts, project_id: str, kinds: Collection[str] = NAMES) -> dict[str, int]:
    """What the project has, by quota; quotas of types that it has nothing of are left out. At most four queries, for all kinds."""
    used: dict[str, int] = dict.fromkeys(NAMES, 0)
    if "groups" in kinds:
        used["groups"] = groups.count(session, project_id)
    if {"backups", "backup_gigabytes"} & set(kinds):
        used["backups"], used["backup_gigabytes"] = backups.used(session, project_id)
    for name, table in (("volumes", Volume), ("snapshots", VolumeSnapshot)):
        if not {name, "gigabytes"} & set(kinds):
            continue
        for type_name, count, size_gb in session.execute(_BY_TYPE[name], {"project": project_id}):
            found = {name: count} | ({} if table is VolumeSnapshot and conf.no_snapshot_gb_quota else {"gigabytes": int(size_gb)})
            for key, value in {**found, **_typed(type_name, **found)}.items():
                used[key] = used.get(key, 0) + value
    return used


def _by_type(table: Any) -> Any:  # SQLAlchemy types a query by its columns
    return sa.select(VolumeType.name, sa.func.count(), sa.func.coalesce(sa.func.sum(table.size_gb), 0)).select_from(table).outerjoin(
        VolumeType, VolumeType.id == table.volume_type_id).where(
        table.project_id == sa.bindparam("project"), table.consumes_quota.is_(True)).group_by(VolumeType.name)


# Built once: building a query costs several times what running it does.
_BY_TYPE = {"volumes": _by_type(Volume), "snapshots": _by_type(VolumeSnapshot)}
_LIMITS: Any = sa.union_all(
    sa.select(sa.literal_column("0").label("level"), VolumeQuotaClass.resource, VolumeQuotaClass.hard_limit).where(
        VolumeQuotaClass.class_name == DEFAULT_CLASS),
    sa.select(sa.literal_column("1"), VolumeQuota.resource, VolumeQuota.hard_limit).where(
        VolumeQuota.project_id == sa.bindparam("project"))).order_by("level")


def limits(session: Session, conf: cfg.ConfigOpts, project_id: str) -> dict[str, int]:
    """The project's limits by quota, those of each type included."""
    own = session.execute(sa.select(VolumeQuota.resource, VolumeQuota.hard_limit).where(VolumeQuota.project_id == project_id))
    found = defaults(session, conf)
    return {**found, **{resource: limit for resource, limit in own if resource in found}}


def defaults(session: Session, conf: cfg.ConfigOpts, class_name: str = DEFAULT_CLASS) -> dict[str, int]:
    """The limits of a project that has none of its own; or what another class would make of them."""
    of_class = session.execute(sa.select(VolumeQuotaClass.resource, VolumeQuotaClass.hard_limit).where(
        VolumeQuotaClass.class_name == class_name))
    found = configured(session, conf)
    return {**found, **{resource: limit for resource, limit in of_class if resource in found}}


def configured(session: Session, conf: cfg.ConfigOpts) -> dict[str, int]:
    """The configured limits; those of types are none (-1)."""
    names = session.scalars(sa.select(VolumeType.name).order_by(VolumeType.name))
    return {**{name: int(conf[option]) for name, option in _OPTIONS.items()},
            **{of_type(quota, name): -1 for name in names for quota in OF_TYPES}}


def set_limits(session: Session, project_id: str, changed: Mapping[str, int]) -> None:
    """Set limits of the project; in one order, since others may set the same."""
    for resource, limit in sorted(changed.items()):
        session.merge(VolumeQuota(project_id=project_id, resource=resource, hard_limit=limit))
    session.flush()


def set_class(session: Session, class_name: str, changed: Mapping[str, int]) -> None:
    """Set limits of the class; in one order, as above."""
    for resource, limit in sorted(changed.items()):
        session.merge(VolumeQuotaClass(class_name=class_name, resource=resource, hard_limit=limit))
    session.flush()


def reset(session: Session, project_id: str) -> None:
    """Delete the project's own limits: the defaults apply again."""
    session.execute(sa.delete(VolumeQuota).where(VolumeQuota.project_id == project_id))


def rename_type(session: Session, old: str, new: str) -> None:
    """Limits of a type go with its new name."""
    forget_type(session, new)
    for table in (VolumeQuota, VolumeQuotaClass):
        for name in OF_TYPES:
            resource: Any = table.__table__.c.resource
            session.execute(sa.update(table).where(resource == of_type(name, old)).values(resource=of_type(name, new))
                            .execution_options(synchronize_session=False))


def forget_type(session: Session, type_name: str) -> None:
    """There is no type of this name any more: one that gets it later begins without limits."""
    for table in (VolumeQuota, VolumeQuotaClass):
        resource: Any = table.__table__.c.resource
        session.execute(sa.delete(table).where(resource.in_([of_type(name, type_name) for name in OF_TYPES])))
