# SPDX-License-Identifier: Apache-2.0
"""Keeps the bytes of images as files: received in pieces, hashed as they come, durable before anyone reads them."""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.image import formats
from nova_lite.db.image import images
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
PIECE = 1024**2
_SYNC_EACH = 32 * PIECE  # so that the last fsync has little to wait for: nothing else runs in a green process then
STALLED_AFTER = datetime.timedelta(hours=1)
_PART = ".part"


class Source(Protocol):
    """Where an upload's bytes come from: a WSGI input."""

    def read(self, size: int, /) -> bytes: ...


class Store:
    """One directory of image files, each named by its `file_id`; `.part` while it is coming in."""

    def __init__(self, path: str, *, max_bytes: int) -> None:
        self.path = pathlib.Path(path)
        self.max_bytes = max_bytes
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)

    @contextlib.contextmanager
    def receiving(
        self, source: Source, *, file_id: str, length: int | None, on_piece: Callable[[], None]
    ) -> Iterator[Incoming]:
        """Take all of `source` into a temporary file, of exactly `length` bytes when that is known.

        Yields it to be looked at; it is kept only if `keep()` is called before the block ends.

        :raises errors.TooLarge: over `max_bytes`, or no room on the disk. :raises errors.BadRequest: cut off.
        """
        self._check_room(length)
        part = self.path / f"{file_id}{_PART}"
        with contextlib.ExitStack() as undo:
            incoming = Incoming(self, file_id, _create(part))
            undo.callback(part.unlink, missing_ok=True)
            undo.callback(incoming.file.close)
            self._fill(incoming, source, length=length, on_piece=on_piece)
            yield incoming

    def open(self, file_id: str) -> BinaryIO:
        """The image's bytes; they stay readable when the image is deleted meanwhile.

        :raises errors.Unavailable: the file is not there or cannot be read.
        """
        try:
            return (self.path / file_id).open("rb", buffering=0)
        except OSError as missing:
            LOG.error("image file %s/%s: %s", self.path, file_id, missing.strerror)
            raise errors.Unavailable(reason="The image's data cannot be read; tell the operator.") from missing

    def remove(self, file_id: str) -> None:
        """Remove the image's bytes; harmless when they are gone."""
        (self.path / file_id).unlink(missing_ok=True)

    def names(self) -> list[pathlib.Path]:
        """All files of the store, whole and partial."""
        return [path for path in self.path.iterdir() if path.is_file()]

    def _fill(
        self, incoming: Incoming, source: Source, *, length: int | None, on_piece: Callable[[], None]
    ) -> None:
        while length is None or incoming.size < length:
            wanted = PIECE if length is None else min(PIECE, length - incoming.size)
            piece = _read(source, wanted)
            if not piece:
                break
            if incoming.size + len(piece) > self.max_bytes:
                raise errors.TooLarge(limit=self.max_bytes)
            self._take(incoming, piece)
            fail("image.piece.after")
            on_piece()
        if length is not None and incoming.size != length:
            raise errors.BadRequest(
                reason=f"The upload broke off: {incoming.size} bytes came of the {length} that Content-Length promised")

    def _take(self, incoming: Incoming, piece: bytes) -> None:
        try:
            incoming.take(piece)
        except OSError as failed:
            if failed.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise self._full(f"after {incoming.size} bytes: {failed.strerror}") from failed

    def _check_room(self, length: int | None) -> None:
        if length is None:
            return
        if length > self.max_bytes:
            raise errors.TooLarge(limit=self.max_bytes)
        disk = os.statvfs(self.path)
        free = disk.f_bavail * disk.f_frsize
        if length > free:
            raise self._full(f"for {length} bytes: {free} are free")

    def _full(self, why: str) -> errors.TooLarge:
        LOG.warning("image store %s has no room %s", self.path, why)
        return errors.TooLarge(f"The image store {self.path} has no room {why}")


class Incoming:
    """A file that is coming in, with the digests of what has come."""

    def __init__(self, store: Store, file_id: str, file: BinaryIO) -> None:
        self.file = file
        self.size = self._synced = 0
        self._store, self._file_id = store, file_id
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()

    def take(self, piece: bytes) -> None:
        """Write and hash one piece. :raises OSError: the disk refused."""
        view = memoryview(piece)
        while view:
            view = view[self.file.write(view):]
        self._md5.update(piece)
        self._sha512.update(piece)
        self.size += len(piece)
        if self.size - self._synced >= _SYNC_EACH:
            os.fdatasync(self.file.fileno())
            self._synced = self.size

    def inspect(self, *, disk_format: str) -> images.Contents:
        """What came, if it is what `disk_format` says. :raises errors.BadRequest: it is not, with the reason."""
        virtual_size = formats.inspect(self.file, size=self.size, disk_format=disk_format)
        return images.Contents(self.size, virtual_size, self._md5.hexdigest(), self._sha512.hexdigest())

    def keep(self) -> None:
        """Make it the image's file; it is on the disk, name and bytes, when this returns."""
        os.fsync(self.file.fileno())
        fail("image.rename.before")
        part = self._store.path / f"{self._file_id}{_PART}"
        part.rename(self._store.path / self._file_id)
        directory = os.open(self._store.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def open_store(conf: cfg.ConfigOpts) -> Store:
    """The configured store, its directory made."""
    path = conf.image.store_path or os.path.join(conf.state_path, "images")
    return Store(path, max_bytes=conf.image.max_image_size)


def clean(store: Store, session: Session, now: datetime.datetime) -> tuple[list[str], list[str]]:
    """Put back to queued the uploads that a crash cut off, and remove files that no image has; `now` in UTC.

    Only what has not stirred for STALLED_AFTER: a running upload touches its row and its file.
    The ids of the images and the names of the files.
    """
    before = now - STALLED_AFTER
    requeued = images.requeue_stalled(session, before=before)
    used = images.files_in_use(session)
    removed: list[str] = []
    for path in store.names():
        stirred = _stirred(path)
        if path.name.removesuffix(_PART) in used or stirred is None or stirred >= before:
            continue
        path.unlink(missing_ok=True)
        removed.append(path.name)
    if requeued or removed:
        LOG.info("image store %s: %d stalled uploads put back to queued, %d files without an image removed",
                 store.path, len(requeued), len(removed))
    return requeued, removed


def _stirred(path: pathlib.Path) -> datetime.datetime | None:
    """When the file was last written, UTC without a zone as rows have it; None: it is gone."""
    try:
        seconds = path.stat().st_mtime
    except FileNotFoundError:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


def _create(path: pathlib.Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)


def _read(source: Source, count: int) -> bytes:
    try:
        return source.read(count)
    except (OSError, ValueError) as broken:  # ValueError: chunked encoding that ends in the middle
        raise errors.BadRequest(reason=f"The upload broke off: {broken}") from broken
