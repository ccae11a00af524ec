# SPDX-License-Identifier: Apache-2.0
"""Volume types: extra specs, access, encryption and defaults of projects, and the queries on them."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, InsertUnlessTaken, Timestamps, for_update, new_id
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume

FALLBACK = "__DEFAULT__"  # the type that every cloud has at first, by Cinder's name
_ID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TRUE = re.compile(r"<is>\s*true", re.IGNORECASE)


class VolumeType(Timestamps, Base):
    """One type. Only projects of VolumeTypeProject use one that is not public; admins use all."""

    __tablename__ = "volume_types"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    is_public: Mapped[bool] = mapped_column(default=True)
    extra_specs: Mapped[dict[str, str]] = mapped_column(default=dict)
    qos_specs_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)

    @property
    def is_multiattach(self) -> bool:
        """Whether several servers may have a volume of this type at once."""
        return _TRUE.fullmatch(self.extra_specs.get("multiattach", "").strip()) is not None


class VolumeTypeProject(Base):
    """A project with access to a type that is not public."""

    __tablename__ = "volume_type_projects"

    volume_type_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)


class VolumeTypeEncryption(Timestamps, Base):
    """How volumes of the type are encrypted; most types have none."""

    __tablename__ = "volume_type_encryptions"

    volume_type_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    encryption_id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    provider: Mapped[str]
    control_location: Mapped[str] = mapped_column(sa.String(16))
    cipher: Mapped[str | None]
    key_size: Mapped[int | None]


class DefaultVolumeType(Base):
    """The type of a project's volumes that are made without one, in place of the configured."""

    __tablename__ = "default_volume_types"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    volume_type_id: Mapped[str] = mapped_column(sa.String(36), index=True)


def bootstrap(session: Session) -> None:
    """Create the type FALLBACK in a cloud that has no types at all."""
    if not session.scalar(sa.select(sa.func.count()).select_from(VolumeType)):
        session.add(VolumeType(name=FALLBACK, description="Default Volume Type"))


def _visible(project_id: str | None) -> list[sa.ColumnElement[bool]]:
    """The condition that the project may use a type; none for an admin (None)."""
    if project_id is None:
        return []
    access = sa.exists().where(VolumeTypeProject.volume_type_id == VolumeType.id, VolumeTypeProject.project_id == project_id)
    return [VolumeType.is_public.is_(True) | access]


def find(session: Session, *, project_id: str | None, is_public: bool | None = None) -> list[VolumeType]:
    """Types that the project may use (None: any), newest first. `is_public`: only those of this kind.

    Operators make them, and a cloud has tens: other filters and paging are cheaper on the list.
    """
    query = sa.select(VolumeType).where(*_visible(project_id)).order_by(VolumeType.created_at.desc(), VolumeType.id.desc())
    if is_public is not None:
        query = query.where(VolumeType.is_public.is_(is_public))
    return list(session.scalars(query))


def get(session: Session, id_or_name: str, *, project_id: str | None = None, is_locked: bool = False) -> VolumeType:
    """The type, by its id or else by its name, if the project may use it (None: any).

    `is_locked`: others cannot change it until the transaction ends.

    :raises errors.NotFound: there is none, or none for this project.
    """
    keys = [VolumeType.id, VolumeType.name] if _ID.fullmatch(id_or_name) else [VolumeType.name]
    for key in keys:
        query = sa.select(VolumeType).where(key == id_or_name, *_visible(project_id))
        found = session.scalars(for_update(query) if is_locked else query).one_or_none()
        if found is not None:
            return found
    raise missing(id_or_name)


def get_by_id(session: Session, type_id: str, *, project_id: str | None = None, is_locked: bool = False) -> VolumeType:
    """As `get`, by the id only: what paths of the API name."""
    query = sa.select(VolumeType).where(VolumeType.id == type_id, *_visible(project_id))
    found = session.scalars(for_update(query) if is_locked else query).one_or_none()
    if found is None:
        raise missing(type_id)
    return found


def missing(name: str) -> errors.NotFound:
    return errors.NotFound(f"Volume type {name} could not be found.", what="Volume type", id=name)


def by_ids(session: Session, type_ids: set[str]) -> dict[str, VolumeType]:
    """The types with these ids, by id; one query, and none for no ids."""
    if not type_ids:
        return {}
    return {found.id: found for found in session.scalars(sa.select(VolumeType).where(VolumeType.id.in_(type_ids)))}


def default(session: Session, conf: cfg.ConfigOpts, *, project_id: str = "") -> VolumeType:
    """The type of volumes that are made without one: the project's, or else `[DEFAULT] default_volume_type`.

    :raises errors.NotFound: the configured one does not exist.
    """
    own = session.get(DefaultVolumeType, project_id) if project_id else None
    found = session.get(VolumeType, own.volume_type_id) if own is not None else None
    if found is None:
        found = session.scalars(sa.select(VolumeType).where(VolumeType.name == conf.default_volume_type)).one_or_none()
    if found is None:
        raise errors.NotFound(f"Default volume type {conf.default_volume_type} could not be found: an operator must create it, or name "
                              "another in [DEFAULT] default_volume_type.")
    return found


def add(session: Session, made: VolumeType) -> VolumeType:
    """:raises errors.Conflict: the name is taken."""
    try:
        with session.begin_nested():  # the unique name decides the race between two API workers
            session.add(made)
    except IntegrityError:
        raise _taken(made.name) from None
    return made


def rename(session: Session, changed: VolumeType, name: str) -> None:
    """:raises errors.Conflict: another type has the name."""
    try:
        with session.begin_nested():
            changed.name = name
    except IntegrityError:
        raise _taken(name) from None


def _taken(name: str) -> errors.Conflict:
    return errors.Conflict(reason=f"Volume Type {name} already exists.")


def remove(session: Session, conf: cfg.ConfigOpts, volume_type: VolumeType) -> None:
    """Delete the type, which the caller has locked, with what belongs to it.

    :raises errors.BadRequest: a volume or snapshot has it, or it is a default.
    """
    if has_volumes(session, volume_type.id):
        raise errors.BadRequest(reason=f"Volume type {volume_type.name} is in use: delete or retype the volumes and snapshots that have it first")
    if volume_type.name == conf.default_volume_type or session.scalar(
            sa.select(DefaultVolumeType.project_id).where(DefaultVolumeType.volume_type_id == volume_type.id).limit(1)):
        raise errors.BadRequest(reason=f"Volume type {volume_type.name} is a default volume type, which cannot be deleted")
    for table in (VolumeTypeProject, VolumeTypeEncryption):
        of_type: Any = table.__table__.c.volume_type_id
        session.execute(sa.delete(table).where(of_type == volume_type.id))
    session.delete(volume_type)


def has_volumes(session: Session, type_id: str) -> bool:
    """Whether a volume or a snapshot is of this type."""
    return any(session.scalar(sa.select(table.id).where(table.volume_type_id == type_id).limit(1)) is not None
               for table in (Volume, VolumeSnapshot))


def projects_of(session: Session, type_id: str) -> list[str]:
    """The projects that were given access, in their order."""
    return list(session.scalars(sa.select(VolumeTypeProject.project_id).where(VolumeTypeProject.volume_type_id == type_id).order_by(
        VolumeTypeProject.project_id)))


def add_project(session: Session, type_id: str, project_id: str) -> bool:
    """Give the project access; False: it had it already."""
    added = session.execute(InsertUnlessTaken(VolumeTypeProject).values(volume_type_id=type_id, project_id=project_id))
    return bool(added.rowcount)  # type: ignore[attr-defined]


def remove_project(session: Session, type_id: str, project_id: str) -> bool:
    """Take the project's access away; False: it had none."""
    removed = session.execute(sa.delete(VolumeTypeProject).where(
        VolumeTypeProject.volume_type_id == type_id, VolumeTypeProject.project_id == project_id))
    return bool(removed.rowcount)  # type: ignore[attr-defined]


def encryption_of(session: Session, type_id: str) -> VolumeTypeEncryption | None:
    """How volumes of the type are encrypted; None: they are not."""
    return session.get(VolumeTypeEncryption, type_id)


def encrypted(session: Session, type_ids: set[str]) -> set[str]:
    """Those of the ids whose volumes are encrypted; one query, and none for no ids."""
    if not type_ids:
        return set()
    return set(session.scalars(sa.select(VolumeTypeEncryption.volume_type_id).where(VolumeTypeEncryption.volume_type_id.in_(type_ids))))


def with_qos_specs(session: Session, specs_id: str) -> list[VolumeType]:
    """The types that refer to these QoS specs, by name."""
    return list(session.scalars(sa.select(VolumeType).where(VolumeType.qos_specs_id == specs_id).order_by(VolumeType.name)))


def drop_qos_specs(session: Session, specs_id: str) -> None:
    """No type refers to these QoS specs any more."""
    session.execute(sa.update(VolumeType).where(VolumeType.qos_specs_id == specs_id).values(qos_specs_id=None)
                    .execution_options(synchronize_session=False))


def defaults(session: Session) -> list[DefaultVolumeType]:
    """The defaults of all projects that have one, by project."""
    return list(session.scalars(sa.select(DefaultVolumeType).order_by(DefaultVolumeType.project_id)))


def set_default(session: Session, project_id: str, type_id: str) -> DefaultVolumeType:
    """From now on volumes of the project that are made without a type have this one."""
    found = session.merge(DefaultVolumeType(project_id=project_id, volume_type_id=type_id))
    session.flush()
    return found


def unset_default(session: Session, project_id: str) -> None:
    """The configured type is the project's default again; fine if it was."""
    session.execute(sa.delete(DefaultVolumeType).where(DefaultVolumeType.project_id == project_id))
