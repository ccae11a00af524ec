# SPDX-License-Identifier: Apache-2.0
"""Flavors, and the queries on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update
from nova_lite.db.patterns import Pattern
from nova_lite.values import flavor as values

SORT_KEYS = {
    "created_at": "created_at", "disabled": "disabled", "ephemeral_gb": "ephemeral_gb", "flavorid": "id",
    "id": "number", "is_public": "is_public", "memory_mb": "ram_mb", "name": "name", "root_gb": "root_gb",
    "rxtx_factor": "rxtx_factor", "swap": "swap_mb", "updated_at": "updated_at", "vcpus": "vcpus",
}  # Nova's names of columns


class FlavorCopy(sa.types.TypeDecorator[values.Flavor]):
    """A column of values.Flavor, kept as JSON."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: values.Flavor | None, dialect: sa.Dialect) -> dict[str, Any] | None:  # noqa: ARG002 - SQLAlchemy's shape
        return None if value is None else value.to_json()

    def process_result_value(self, value: dict[str, Any] | None, dialect: sa.Dialect) -> values.Flavor | None:  # noqa: ARG002 - SQLAlchemy's shape
        return None if value is None else values.Flavor.from_json(value)


class Flavor(Timestamps, Base):
    """A size of servers; each server keeps a copy, so that a flavor may be changed or deleted."""

    __tablename__ = "flavors"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    root_gb: Mapped[int] = mapped_column("disk_gb", key="root_gb")
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap_mb: Mapped[int] = mapped_column(default=0)
    rxtx_factor: Mapped[float] = mapped_column(default=1.0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str | None] = mapped_column(sa.Text)
    extra_specs: Mapped[dict[str, str]] = mapped_column(default=dict)
    projects: Mapped[list[str]] = mapped_column(default=list)  # that may use it when it is not public

    def value(self) -> values.Flavor:
        """The copy that a server keeps."""
        return values.Flavor(
            id=self.id, number=self.number, name=self.name, vcpus=self.vcpus, ram_mb=self.ram_mb, root_gb=self.root_gb,
            ephemeral_gb=self.ephemeral_gb, swap_mb=self.swap_mb, extra_specs=dict(self.extra_specs))

    def may_use(self, project_id: str | None) -> bool:
        """Whether the project has access; None: an admin, who has it to all."""
        return project_id is None or self.is_public or project_id in self.projects


def get(session: Session, flavor_id: str, *, project_id: str | None, is_locked: bool = False) -> Flavor:
    """The flavor, if the project may use it (None: any). `is_locked`: others cannot change it until the transaction ends.

    :raises errors.NotFound: there is none, or none for this project.
    """
    flavor = session.scalars(_ONE_LOCKED if is_locked else _ONE, {"of": flavor_id}).one_or_none()
    if flavor is None or not flavor.may_use(project_id):
        raise errors.NotFound(what="Flavor", id=flavor_id)
    return flavor


# Built once: building a query costs several times what running it does, and every boot runs this one.
_ONE = sa.select(Flavor).where(Flavor.id == sa.bindparam("of"))
_ONE_LOCKED = for_update(_ONE)


def find(
    session: Session, *, project_id: str | None, is_public: bool | None, min_ram_mb: int = 0, min_disk_gb: int = 0,
    sort_key: str = "flavorid", is_descending: bool = False, marker: str | None = None, limit: int | None = None,
    name_pattern: Pattern | None = None,
) -> list[Flavor]:
    """Flavors in order, after `marker`. `is_public` None: both kinds; `project_id` None: access is not checked.

    :raises errors.InvalidMarker: no flavor that could be listed has this id.
    """
    query = sa.select(Flavor).where(Flavor.disabled.is_(False))
    if is_public is not None:
        query = query.where(Flavor.is_public.is_(is_public))
    query = query.where(Flavor.ram_mb >= min_ram_mb, Flavor.root_gb >= min_disk_gb)
    column = getattr(Flavor, SORT_KEYS[sort_key])
    order = (column.desc(), Flavor.id.desc()) if is_descending else (column, Flavor.id)
    # A cloud has tens of flavors: access and paging are cheaper here than in three dialects' JSON.
    listed = [flavor for flavor in session.scalars(query.order_by(*order)) if flavor.may_use(project_id)
              and (name_pattern is None or name_pattern.matches(flavor.name))]
    if marker is not None:
        position = next((index for index, flavor in enumerate(listed) if flavor.id == marker), None)
        if position is None:
            raise errors.InvalidMarker(marker=marker)
        listed = listed[position + 1:]
    return listed if limit is None else listed[:limit]


def add(session: Session, flavor: Flavor) -> Flavor:
    """Add a flavor.

    :raises errors.Conflict: its id or its name is taken.
    """
    taken = session.execute(
        sa.select(Flavor.id, Flavor.name).where(sa.or_(Flavor.id == flavor.id, Flavor.name == flavor.name))).first()
    if taken is not None:
        what = f"ID {flavor.id}" if taken.id == flavor.id else f"name {flavor.name}"
        raise errors.Conflict(reason=f"Flavor with {what} already exists.")
    try:
        with session.begin_nested():  # the unique keys decide the race between two API workers
            session.add(flavor)
    except IntegrityError:
        raise errors.Conflict(reason=f"Flavor with ID {flavor.id} or name {flavor.name} already exists.") from None
    return flavor


def remove(session: Session, flavor: Flavor) -> None:
    """Delete a flavor; servers created with it keep their copy."""
    session.delete(flavor)


# The classic flavors: id, name, vCPUs, MiB of memory, GiB of disk; m1.nano fits a machine without KVM.
DEFAULTS = (
    ("42", "m1.nano", 1, 128, 1), ("1", "m1.tiny", 1, 512, 1), ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40), ("4", "m1.large", 4, 8192, 80), ("5", "m1.xlarge", 8, 16384, 160),
)


def bootstrap(session: Session) -> None:
    """Create the classic flavors in a cloud that has no flavors at all."""
    if session.scalar(sa.select(sa.func.count()).select_from(Flavor)):
        return
    session.add_all(Flavor(id=key, name=name, vcpus=vcpus, ram_mb=ram_mb, root_gb=root_gb)
                    for key, name, vcpus, ram_mb, root_gb in DEFAULTS)
