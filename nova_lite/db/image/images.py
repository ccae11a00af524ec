# SPDX-License-Identifier: Apache-2.0
"""Images of the built-in image service, and the queries on them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db import listing
from nova_lite.db.base import Base, Timestamps, for_update, new_id, utcnow

QUEUED, SAVING, ACTIVE, DELETED = "queued", "saving", "active", "deleted"
PUBLIC, COMMUNITY, SHARED, PRIVATE = "public", "community", "shared", "private"


class Image(Timestamps, Base):
    """One image. `hash_value` is the sha512 of its bytes; `properties` are the free ones.

    `size` of an image in state saving is what its upload has reserved of the project's quota.

    `file_id` names the one upload that may make the image active, and then its file; null while queued.
    """

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str | None]
    status: Mapped[str] = mapped_column(sa.String(16), default=QUEUED)
    visibility: Mapped[str] = mapped_column(sa.String(16), default=SHARED)
    disk_format: Mapped[str | None] = mapped_column(sa.String(16))
    container_format: Mapped[str | None] = mapped_column(sa.String(16))
    min_disk_gb: Mapped[int] = mapped_column(default=0)
    min_ram_mb: Mapped[int] = mapped_column(default=0)
    size: Mapped[int | None] = mapped_column(sa.BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(sa.BigInteger)
    checksum: Mapped[str | None] = mapped_column(sa.String(32))
    hash_value: Mapped[str | None] = mapped_column(sa.String(128))
    protected: Mapped[bool] = mapped_column(default=False)
    os_hidden: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[list[str]] = mapped_column(default=list)
    properties: Mapped[dict[str, str]] = mapped_column(default=dict)
    file_id: Mapped[str | None] = mapped_column(sa.String(36))
    deleted_at: Mapped[datetime.datetime | None]


@dataclasses.dataclass(frozen=True)
class Contents:
    """The result of an upload: bytes, hex digests, and the size of the disk that a guest sees."""

    size: int
    virtual_size: int
    md5: str
    sha512: str


@dataclasses.dataclass(frozen=True)
class Filters:
    """What to list. `equal`: column to its allowed values; `properties`: free property to its value.

    `is_hashed` true: with data, whose hash is known; false: none, since there is one way of hashing. `moments`: (`created_at` or `updated_at`, operator of COMPARISONS, time); the API shows whole seconds, and these are compared.
    """

    equal: Mapping[str, Collection[Any]] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Sequence[str] = ()
    visibility: str | None = None
    size_min: int | None = None
    size_max: int | None = None
    changed_since: datetime.datetime | None = None
    moments: Sequence[tuple[str, str, datetime.datetime]] = ()
    is_hashed: bool | None = None


def get(session: Session, image_id: str, *, project_id: str | None, is_locked: bool = False) -> Image:
    """The image, if `project_id` (None: an admin) may see it: its own, public or community ones.

    `is_locked`: other transactions wait to change it until this one ends.

    :raises errors.NotFound: there is none, or it is another project's.
    """
    query, values = _ONE, {"of": image_id}
    if project_id is not None:
        query, values = _ONE_SEEN, {"of": image_id, "project": project_id}
    image = session.scalars(for_update(query) if is_locked else query, values).one_or_none()
    if image is None:
        raise errors.NotFound(what="Image", id=image_id)
    return image


# Built once: building a query costs several times what running it does, and every boot runs these.
_IS_IT = (Image.id == sa.bindparam("of"), Image.deleted_at.is_(None))
_MAY_SEE = sa.or_(Image.owner == sa.bindparam("project"), Image.visibility.in_((PUBLIC, COMMUNITY)))
_ONE = sa.select(Image).where(*_IS_IT)
_ONE_SEEN = _ONE.where(_MAY_SEE)

_ROW = sa.select(Image.__table__).where(*_IS_IT)
_ROW_SEEN = _ROW.where(_MAY_SEE)


def usable(session: Session, image_id: str, *, project_id: str | None) -> sa.Row[Any]:
    """The image's row, with the names of its columns, if a guest of `project_id` can boot from it now.

    :raises errors.NotFound: there is none to see. :raises errors.InvalidImage: it has no data yet.
    """
    query, values = _ROW, {"of": image_id}
    if project_id is not None:
        query, values = _ROW_SEEN, {"of": image_id, "project": project_id}
    image = session.connection().execute(query, values).first()
    if image is None:
        raise errors.NotFound(what="Image", id=image_id)
    if image.status != ACTIVE:
        raise errors.InvalidImage(id=image_id, reason=f"it is not active but {image.status}")
    return image


def by_ids(session: Session, image_ids: Collection[str]) -> dict[str, Image]:
    """The images of these ids that exist, of any owner, in one query."""
    if not image_ids:
        return {}
    return {image.id: image for image in session.scalars(_BY_IDS, {"ids": sorted(image_ids)})}


class Source(NamedTuple):
    """What a host needs of an image to fetch it."""

    id: str
    status: str
    disk_format: str | None
    size: int | None
    hash_value: str | None


def source(session: Session, image_id: str) -> Source | None:
    """What a host needs of the image; None: it is gone."""
    found = session.execute(_SOURCE, {"of": image_id}).first()
    return None if found is None else Source(*found)


_TABLE: Any = Image.__table__
SOURCE = tuple(_TABLE.c[name] for name in Source._fields)  # its columns
_SOURCE = sa.select(*SOURCE).where(
    _TABLE.c.id == sa.bindparam("of"), _TABLE.c.deleted_at.is_(None))
_BY_IDS = sa.select(Image).where(Image.id.in_(sa.bindparam("ids", expanding=True)), Image.deleted_at.is_(None))


def create(session: Session, image: Image) -> None:
    """Add a queued image.

    :raises errors.AlreadyExists: its id is, or was, another image's.
    """
    session.add(image)
    try:
        session.flush()
    except sa.exc.IntegrityError as error:
        raise errors.AlreadyExists(what="Image", id=image.id) from error


def delete(session: Session, image_id: str) -> None:
    """Mark the image deleted, unless it is protected; an upload under way will notice and stop.

    :raises errors.Forbidden: it is protected. :raises errors.NotFound: another request has deleted it.
    """
    deletion = sa.update(Image).where(Image.id == image_id, Image.deleted_at.is_(None), Image.protected.is_(False))
    if _changes(session, deletion.values(status=DELETED, deleted_at=utcnow())):
        return
    get(session, image_id, project_id=None)
    raise errors.Forbidden(reason=f"Image {image_id} is protected and cannot be deleted.")


def begin_upload(session: Session, image_id: str, *, file_id: str, size: int = 0) -> None:
    """Claim a queued image for the upload `file_id`, which reserves `size` bytes; of two at once one wins.

    :raises errors.Conflict: the image has data, or is getting it from another upload.
    """
    claim = sa.update(Image).where(Image.id == image_id, Image.status == QUEUED, Image.deleted_at.is_(None))
    if not _changes(session, claim.values(status=SAVING, file_id=file_id, size=size, updated_at=utcnow())):
        status = get(session, image_id, project_id=None).status
        raise errors.Conflict(reason=f"Image {image_id} is {status}; only a queued image takes data.")


def continue_upload(session: Session, image_id: str, *, file_id: str, now: datetime.datetime) -> bool:
    """Record that the upload is alive; False: it has lost its image (deleted, or put back to queued)."""
    return _changes(session, _uploading(image_id, file_id).values(updated_at=now))


def reserve(session: Session, image_id: str, *, file_id: str, size: int) -> bool:
    """Let the upload have so many bytes in all; False: it has lost its image."""
    return _changes(session, _uploading(image_id, file_id).values(size=size, updated_at=utcnow()))


def finish_upload(session: Session, image_id: str, *, file_id: str, contents: Contents) -> bool:
    """Make the image active with these contents; False: the upload has lost its image, and its file must go."""
    values = {"status": ACTIVE, "size": contents.size, "virtual_size": contents.virtual_size,
              "checksum": contents.md5, "hash_value": contents.sha512}
    return _changes(session, _uploading(image_id, file_id).values(**values))


def abandon_upload(session: Session, image_id: str, *, file_id: str) -> None:
    """Put the image back to queued, if this upload still has it."""
    _changes(session, _uploading(image_id, file_id).values(status=QUEUED, file_id=None, size=None))


def requeue_stalled(session: Session, *, before: datetime.datetime) -> list[str]:
    """Put back to queued what has been `saving` without progress since `before`; the images' ids."""
    return [
        image_id for image_id, file_id in stalled(session, before=before).items()
        if _changes(session, _uploading(image_id, file_id or "").where(Image.updated_at < before)
                    .values(status=QUEUED, file_id=None, size=None))
    ]


def stalled(session: Session, *, before: datetime.datetime) -> dict[str, str | None]:
    """The images that have been `saving` without progress since `before`, with their uploads' `file_id`."""
    query = sa.select(Image.id, Image.file_id).where(Image.status == SAVING, Image.updated_at < before)
    return {image_id: file_id for image_id, file_id in session.execute(query)}


def active_files(session: Session) -> dict[str, str]:
    """The `file_id` of every image that is active."""
    query = sa.select(Image.id, Image.file_id).where(Image.status == ACTIVE, Image.deleted_at.is_(None))
    return {image_id: file_id for image_id, file_id in session.execute(query) if file_id is not None}


def files_in_use(session: Session) -> set[str]:
    """The `file_id` of every image that has, or is getting, data."""
    used = sa.select(Image.file_id).where(Image.deleted_at.is_(None), Image.file_id.is_not(None))
    return {file_id for file_id in session.scalars(used) if file_id}


def page(
    session: Session, *, project_id: str | None, filters: Filters, sort: Sequence[tuple[str, bool]], limit: int,
    marker: str | None = None,
) -> list[Image]:
    """At most `limit` images that `project_id` (None: an admin) may list, after `marker`.

    `sort`: (key of SORTABLE, is it descending), most significant first; the id breaks ties.

    :raises errors.InvalidMarker: no such image, or not the caller's to see.
    """
    order = [*sort, ("id", sort[-1][1] if sort else True)]
    query = sa.select(Image).where(Image.deleted_at.is_(None), _listed(project_id, filters.visibility), *_where(filters))
    if marker is not None:
        try:
            after = get(session, marker, project_id=project_id)
        except errors.NotFound as error:
            raise errors.InvalidMarker(marker=marker) from error
        query = query.where(_after(session, order, after.id))
    ordering = [column.desc() if is_descending else column.asc() for column, is_descending in _columns(order)]
    return list(session.scalars(query.order_by(*ordering).limit(limit)))


# Nulls sort differently on each database; the stand-ins make one order of them.
SORTABLE: dict[str, sa.ColumnElement[Any] | InstrumentedAttribute[Any]] = {
    "id": Image.id, "created_at": Image.created_at, "status": Image.status, "owner": Image.owner,
    "visibility": Image.visibility, "min_disk": Image.min_disk_gb, "min_ram": Image.min_ram_mb,
    "name": sa.func.coalesce(Image.name, ""), "size": sa.func.coalesce(Image.size, -1),
    "disk_format": sa.func.coalesce(Image.disk_format, ""),
    "container_format": sa.func.coalesce(Image.container_format, ""),
    "updated_at": sa.func.coalesce(Image.updated_at, Image.created_at),
}


def _columns(order: Sequence[tuple[str, bool]]) -> list[tuple[Any, bool]]:
    return [(SORTABLE[key], is_descending) for key, is_descending in order]


def _after(session: Session, order: Sequence[tuple[str, bool]], image_id: str) -> sa.ColumnElement[bool]:
    """Whether a row comes later in this order than the image: equal in the first keys, beyond it in the next."""
    columns = _columns(order)
    last = session.execute(sa.select(*(column for column, _ in columns)).where(Image.id == image_id)).one()
    later: list[sa.ColumnElement[bool]] = []
    for place, (column, is_descending) in enumerate(columns):
        beyond = column < last[place] if is_descending else column > last[place]
        later.append(sa.and_(*(columns[i][0] == last[i] for i in range(place)), beyond))
    return sa.or_(*later)


def _listed(project_id: str | None, visibility: str | None) -> sa.ColumnElement[bool]:
    """Others' community images are listed only when `visibility` requests them, as in Glance."""
    shown = (PUBLIC, COMMUNITY) if visibility in (COMMUNITY, "all") else (PUBLIC,)
    allowed = sa.true() if project_id is None else sa.or_(Image.owner == project_id, Image.visibility.in_(shown))
    if visibility in (None, "all"):
        return allowed
    return sa.and_(allowed, Image.visibility == visibility)


def _from(column: Any, moment: datetime.datetime) -> Any:
    whole = moment.replace(microsecond=0)
    return column >= whole if whole == moment else _after_it(column, moment)


def _after_it(column: Any, moment: datetime.datetime) -> Any:
    return column >= min(moment, _LATEST).replace(microsecond=0) + _SECOND


_SECOND = datetime.timedelta(seconds=1)
_LATEST = datetime.datetime.max - _SECOND  # noqa: DTZ901 - as rows, without a zone; the last that has a second after it
# Of a time with microseconds, cut to the whole second.
COMPARISONS: Mapping[str, Callable[[Any, datetime.datetime], sa.ColumnElement[bool]]] = {
    "gte": _from, "gt": _after_it,
    "lt": lambda column, moment: sa.not_(_from(column, moment)),
    "lte": lambda column, moment: sa.not_(_after_it(column, moment)),
    "eq": lambda column, moment: sa.and_(_from(column, moment), sa.not_(_after_it(column, moment))),
    "neq": lambda column, moment: sa.or_(sa.not_(_from(column, moment)), _after_it(column, moment)),
}


def _where(filters: Filters) -> list[sa.ColumnElement[bool]]:
    kept: list[sa.ColumnElement[bool]] = [
        getattr(Image, column).in_(values) for column, values in filters.equal.items()
    ]
    kept += [COMPARISONS[operator](SORTABLE[name], moment) for name, operator, moment in filters.moments]
    kept += [Image.properties[name].as_string() == value for name, value in filters.properties.items()]
    kept += [listing.has_tag(Image.__table__.c.tags, tag) for tag in filters.tags]
    if filters.size_min is not None:
        kept.append(Image.size >= filters.size_min)
    if filters.size_max is not None:
        kept.append(Image.size <= filters.size_max)
    if filters.is_hashed is not None:
        kept.append(Image.hash_value.is_not(None) if filters.is_hashed else sa.false())
    if filters.changed_since is not None:
        kept.append(sa.func.coalesce(Image.updated_at, Image.created_at) >= filters.changed_since)
    return kept


def _uploading(image_id: str, file_id: str) -> sa.Update:
    return sa.update(Image).where(
        Image.id == image_id, Image.status == SAVING, Image.file_id == file_id, Image.deleted_at.is_(None)
    )


def _changes(session: Session, update: sa.Update) -> bool:
    result = session.execute(update.execution_options(synchronize_session=False))
    return bool(result.rowcount)  # type: ignore[attr-defined]
