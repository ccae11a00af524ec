# SPDX-License-Identifier: Apache-2.0
"""Attachments of volumes: one row is what Cinder calls an attachment and Nova a block device mapping of a volume."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, LongText, Timestamps, for_update, new_id, utcnow
from nova_lite.db.volume import volumes
from nova_lite.db.volume.lists import Lists, sortable
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus, VolumeStatus

MAX_OF_VOLUME = 100  # where several servers may have it


class Attachment(Timestamps, Base):
    """One volume at one server; the row goes when it is detached.

    `exclusive_id` is the volume's id unless several servers may have it: unique, so that no two servers get a volume.
    `volume_id` None: a volume that the server's build makes, from `source` and `source_id`. `server_id` None: it is
    attached to the `host` itself, by a client. `connection_info` is sealed, since it may hold a secret.
    `mountpoint`: the device's name, unique in the server.
    """

    __tablename__ = "volume_attachments"
    __table_args__ = (
        sa.UniqueConstraint("server_id", "volume_id"), sa.UniqueConstraint("server_id", "mountpoint"),
        sa.Index("ix_volume_attachments_volume_id", "volume_id"),
        sa.Index("ix_volume_attachments_project_id_created_at", "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    volume_id: Mapped[str | None] = mapped_column(sa.String(36))
    exclusive_id: Mapped[str | None] = mapped_column(sa.String(36), unique=True)
    server_id: Mapped[str | None] = mapped_column(sa.String(36))
    host: Mapped[str | None]
    status: Mapped[str] = mapped_column(sa.String(32), default=str(AttachmentStatus.RESERVED))
    mode: Mapped[str | None] = mapped_column(sa.String(8))  # rw | ro
    mountpoint: Mapped[str | None]
    connector: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    connection_info: Mapped[str | None] = mapped_column(LongText)
    attached_at: Mapped[datetime.datetime | None]
    source: Mapped[str] = mapped_column(sa.String(16), default="volume")  # volume | snapshot | image | blank
    source_id: Mapped[str | None] = mapped_column(sa.String(36))
    size_gb: Mapped[int | None]
    volume_type: Mapped[str | None]
    boot_index: Mapped[int | None]
    disk_bus: Mapped[str | None] = mapped_column(sa.String(16))
    device_type: Mapped[str | None] = mapped_column(sa.String(16))
    tag: Mapped[str | None] = mapped_column(sa.String(64))
    delete_on_termination: Mapped[bool] = mapped_column(default=False)


def get(session: Session, attachment_id: str, *, project_id: str | None = None) -> Attachment:
    """:raises errors.NotFound: none, or another project's (None: any project's will do)."""
    attachment = session.get(Attachment, attachment_id)
    if attachment is None or project_id not in (None, attachment.project_id):
        raise missing(attachment_id)
    return attachment


def get_locked(session: Session, attachment_id: str, *, project_id: str | None = None) -> Attachment:
    """As `get`; other transactions wait to change the row until this one ends."""
    attachment = session.scalars(for_update(sa.select(Attachment).where(Attachment.id == attachment_id))).one_or_none()
    if attachment is None or project_id not in (None, attachment.project_id):
        raise missing(attachment_id)
    return attachment


def missing(attachment_id: str) -> errors.NotFound:
    return errors.NotFound(f"Volume attachment could not be found with filter: attachment_id = {attachment_id}.",
                           what="Volume attachment", id=attachment_id)


def of_volume(session: Session, volume_id: str) -> list[Attachment]:
    """The volume's attachments, oldest first."""
    return list(session.scalars(sa.select(Attachment).where(Attachment.volume_id == volume_id).order_by(
        Attachment.created_at, Attachment.id)))


def lock_of_volume(session: Session, volume_id: str) -> list[Attachment]:
    """As `of_volume`; other transactions wait to change the rows until this one ends. The volume is locked after them, as conductors do."""
    query = sa.select(Attachment).where(Attachment.volume_id == volume_id).order_by(Attachment.created_at, Attachment.id)
    return list(session.scalars(for_update(query)))


def of_volumes(session: Session, volume_ids: list[str]) -> dict[str, list[Attachment]]:
    """The attachments by volume, oldest first; volumes without any are left out."""
    found: dict[str, list[Attachment]] = {}
    query = sa.select(Attachment).where(Attachment.volume_id.in_(volume_ids)).order_by(Attachment.created_at, Attachment.id)
    for attachment in session.scalars(query) if volume_ids else ():
        found.setdefault(str(attachment.volume_id), []).append(attachment)
    return found


def of_server(session: Session, server_id: str) -> list[Attachment]:
    """The server's attachments, oldest first."""
    return list(session.scalars(sa.select(Attachment).where(Attachment.server_id == server_id).order_by(
        Attachment.created_at, Attachment.id)))


def of_servers(session: Session, server_ids: list[str]) -> dict[str, list[Attachment]]:
    """The attachments by server, oldest first; servers without any are left out."""
    found: dict[str, list[Attachment]] = {}
    query = sa.select(Attachment).where(Attachment.server_id.in_(server_ids)).order_by(Attachment.created_at, Attachment.id)
    for attachment in session.scalars(query) if server_ids else ():
        found.setdefault(str(attachment.server_id), []).append(attachment)
    return found


def root_of(session: Session, server_id: str) -> Attachment | None:
    """The attachment of the server's root disk; None: it does not boot from a volume."""
    return session.scalars(sa.select(Attachment).where(Attachment.server_id == server_id, Attachment.boot_index == 0)).one_or_none()


def of_server_and_volume(session: Session, server_id: str, volume_id: str) -> Attachment | None:
    """The volume's attachment to the server; None: there is none."""
    return session.scalars(sa.select(Attachment).where(
        Attachment.server_id == server_id, Attachment.volume_id == volume_id)).one_or_none()


def set_status(
    session: Session, attachment_id: str, status: AttachmentStatus, *, among: tuple[AttachmentStatus, ...], **values: Any,  # columns
) -> bool:
    """The attachment, which is in one of `among`, gets the status; False: it is not in one of them."""
    changed = session.execute(
        sa.update(Attachment).where(Attachment.id == attachment_id, Attachment.status.in_([str(one) for one in among]))
        .values(status=str(status), updated_at=utcnow(), **values).execution_options(synchronize_session=False))
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def reserve(session: Session, attachment: Attachment, volume: Volume) -> None:
    """Add the attachment of a volume, whose row is locked: reserved, for nobody else unless several servers may have it.

    :raises errors.WrongStatus: the volume is not free. :raises errors.InUse: the server, or another one, has it already, or its device's name.
    """
    volumes.refuse_moved(volume)
    allowed = [VolumeStatus.AVAILABLE, *((VolumeStatus.IN_USE, VolumeStatus.RESERVED, VolumeStatus.ATTACHING) if volume.multiattach else ())]
    if volume.status not in allowed:
        raise errors.WrongStatus(action="attach", what="volume", id=volume.id, status=volume.status,
                                 allowed=", ".join(str(status) for status in allowed))
    attachment.volume_id, attachment.exclusive_id = volume.id, None if volume.multiattach else volume.id
    attachment.status = str(AttachmentStatus.RESERVED)
    try:
        with session.begin_nested():  # the unique keys decide between two requests
            session.add(attachment)
    except IntegrityError as taken:
        raise errors.InUse(what="Volume", id=volume.id, reason="it is attached to this server, or another one, already") from taken
    settle(session, volume.id)


# What a volume shows by the strongest of its attachments. One in error may be exported still: its volume is not free.
_SHOWN = (
    (AttachmentStatus.ATTACHED, VolumeStatus.IN_USE), (AttachmentStatus.DETACHING, VolumeStatus.DETACHING),
    (AttachmentStatus.ERROR_DETACHING, VolumeStatus.DETACHING), (AttachmentStatus.ATTACHING, VolumeStatus.ATTACHING),
    (AttachmentStatus.ERROR_ATTACHING, VolumeStatus.ATTACHING), (AttachmentStatus.RESERVED, VolumeStatus.RESERVED),
)
_SETTLED = frozenset(str(shown) for _, shown in _SHOWN) | {str(VolumeStatus.AVAILABLE)}


def settle(session: Session, volume_id: str) -> None:
    """The volume shows what its attachments say; one that something else is done to shows that, and this afterwards."""
    try:
        volume = volumes.get_locked(session, volume_id)
    except errors.NotFound:
        return
    session.flush()
    present = set(session.scalars(sa.select(Attachment.status).where(Attachment.volume_id == volume_id)))  # not of objects read before
    status = next((str(shown) for has, shown in _SHOWN if has in present), str(VolumeStatus.AVAILABLE))
    if volume.status in _SETTLED:
        volume.status = status
    elif volume.previous_status in _SETTLED:
        volume.previous_status = status
    session.flush()


def delete(session: Session, attachment_id: str) -> None:
    """Remove the row; none is fine."""
    session.execute(sa.delete(Attachment).where(Attachment.id == attachment_id).execution_options(synchronize_session=False))


_TABLE: Any = Attachment.__table__
_COLUMNS: dict[str, Any] = {
    **{name: _TABLE.c[name] for name in ("id", "project_id", "volume_id", "status", "host", "mountpoint", "created_at", "updated_at")},
    "instance_id": _TABLE.c.server_id, "attach_status": _TABLE.c.status,
}
# What a server's build has yet to make is no attachment in block storage.
LISTS = Lists(Attachment, _COLUMNS, {name: sortable(column) for name, column in _COLUMNS.items()}, always=_TABLE.c.volume_id.is_not(None))
