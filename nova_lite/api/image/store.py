# SPDX-License-Identifier: Apache-2.0
"""The store of images' data: files that are received in chunks, hashed on the way, and durable before they are read."""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import os
import pathlib
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO, Protocol

from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.image import formats
from nova_lite.db.image import images
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
CHUNK = 1024**2
_SYNC_EACH = 32 * CHUNK  # keeps the last fsync short: a process with eventlet runs nothing else meanwhile
STALLED_AFTER = datetime.timedelta(hours=1)
_PART = ".part"


class Source(Protocol):
    """The source of an upload's data: a WSGI input."""

    def read(self, size: int, /) -> bytes: ...


class Store:
    """One directory of image files, each named by its `file_id`; with suffix `.part` while it is received."""

    def __init__(self, path: str, *, max_bytes: int, reserve_bytes: int = 0) -> None:
        """`reserve_bytes` are left free on its file system, but at most a tenth of it."""
        self.path = pathlib.Path(path)
        self.max_bytes, self._reserve_bytes = max_bytes, reserve_bytes
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)

    @contextlib.contextmanager
    def receiving(
        self, source: Source, *, file_id: str, length: int | None, on_chunk: Callable[[], None]
    ) -> Iterator[Incoming]:
        """Receive all of `source` in a temporary file, of exactly `length` bytes if that is known.

        Yields it for inspection; it is removed unless `commit()` is called before the block ends.

        :raises errors.TooLarge: over `max_bytes`, or no space on the disk. :raises errors.BadRequest: fewer bytes than `length`.
        """
        self._check_space(length)
        part = self.path / f"{file_id}{_PART}"
        with contextlib.ExitStack() as undo:
            incoming = Incoming(self, file_id, _create(part))
            undo.callback(part.unlink, missing_ok=True)
            undo.callback(incoming.file.close)
            self._fill(incoming, source, length=length, on_chunk=on_chunk)
            yield incoming

    def open(self, file_id: str) -> BinaryIO:
        """The image's data; it stays readable if the image is deleted meanwhile.

        :raises errors.Unavailable: the file does not exist or cannot be read.
        """
        try:
            return (self.path / file_id).open("rb", buffering=0)
        except OSError as error:
            LOG.error("image file %s/%s: %s", self.path, file_id, error.strerror)
            raise errors.Unavailable(reason="The image's data cannot be read; contact the operator.") from error

    def remove(self, file_id: str) -> None:
        """Remove the image's data; idempotent."""
        (self.path / file_id).unlink(missing_ok=True)

    def names(self) -> list[pathlib.Path]:
        """All files of the store, complete and partial."""
        return [path for path in self.path.iterdir() if path.is_file()]

    def _fill(
        self, incoming: Incoming, source: Source, *, length: int | None, on_chunk: Callable[[], None]
    ) -> None:
        while length is None or incoming.size < length:
            chunk = _read(source, CHUNK if length is None else min(CHUNK, length - incoming.size))
            if not chunk:
                break
            if incoming.size + len(chunk) > self.max_bytes:
                raise errors.TooLarge(limit=self.max_bytes)
            self._write(incoming, chunk)
            fail("image.chunk.after")
            on_chunk()
        if length is not None and incoming.size != length:
            raise errors.BadRequest(
                reason=f"The upload ended after {incoming.size} of the {length} bytes of Content-Length")

    def _write(self, incoming: Incoming, chunk: bytes) -> None:
        if self._reserve_bytes and len(chunk) > self._free_bytes():
            raise self._full(f"after {incoming.size} bytes: the rest is kept free for others")
        try:
            incoming.write(chunk)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise self._full(f"after {incoming.size} bytes: {error.strerror}") from error

    def _check_space(self, length: int | None) -> None:
        if length is None:
            return
        if length > self.max_bytes:
            raise errors.TooLarge(limit=self.max_bytes)
        free = self._free_bytes()
        if length > free:
            raise self._full(f"for {length} bytes: {free} are free")

    def _free_bytes(self) -> int:
        """What uploads may still use: the database may be on the same file system, and stops without space."""
        disk = os.statvfs(self.path)
        reserve = min(self._reserve_bytes, disk.f_blocks * disk.f_frsize // 10)
        return max(0, disk.f_bavail * disk.f_frsize - reserve)

    def _full(self, reason: str) -> errors.TooLarge:
        LOG.warning("image store %s has no space %s", self.path, reason)
        return errors.TooLarge(f"The image store {self.path} has no space {reason}")


class Incoming:
    """A file that is being received, with the digests of its data so far."""

    def __init__(self, store: Store, file_id: str, file: BinaryIO) -> None:
        self.file = file
        self.size = self._synced = 0
        self._store, self._file_id = store, file_id
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()

    def write(self, chunk: bytes) -> None:
        """Write and hash one chunk. :raises OSError: the disk is full or failed."""
        view = memoryview(chunk)
        while view:
            view = view[self.file.write(view):]
        self._md5.update(chunk)
        self._sha512.update(chunk)
        self.size += len(chunk)
        if self.size - self._synced >= _SYNC_EACH:
            os.fdatasync(self.file.fileno())
            self._synced = self.size

    def inspect(self, *, disk_format: str) -> images.Contents:
        """The properties of the data, if it has that format. :raises errors.BadRequest: it has not, with the reason."""
        virtual_size = formats.inspect(self.file, size=self.size, disk_format=disk_format)
        return images.Contents(self.size, virtual_size, self._md5.hexdigest(), self._sha512.hexdigest())

    def commit(self) -> None:
        """Make it the image's file; name and data are durable when this returns."""
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
    """The configured store; its directory is created if it is missing."""
    path = conf.image.store_path or os.path.join(conf.state_path, "images")
    return Store(path, max_bytes=conf.image.max_image_size, reserve_bytes=conf.image.store_reserve << 20)


def clean(store: Store, session: Session, now: datetime.datetime) -> tuple[list[str], list[str]]:
    """Reset interrupted uploads to queued, and remove files without an image; `now` in UTC.

    Only what was not changed for STALLED_AFTER: a running upload updates its row and its file.
    Returns the ids of the images and the names of the files.
    """
    before = now - STALLED_AFTER
    requeued = images.requeue_stalled(session, before=before)
    removed: list[str] = []
    for path in stray_files(store, images.files_in_use(session), before):
        path.unlink(missing_ok=True)
        removed.append(path.name)
    if requeued or removed:
        LOG.info("image store %s: %d interrupted uploads reset to queued, %d files without an image removed",
                 store.path, len(requeued), len(removed))
    return requeued, removed


def stray_files(store: Store, used: Collection[str], before: datetime.datetime) -> list[pathlib.Path]:
    """Files of no image among those that are `used`, and unchanged since `before`."""
    found = []
    for path in store.names():
        modified_at = _modified_at(path)
        if path.name.removesuffix(_PART) not in used and modified_at is not None and modified_at < before:
            found.append(path)
    return found


def _modified_at(path: pathlib.Path) -> datetime.datetime | None:
    """When the file was last written, in UTC without a zone as in rows; None: it does not exist any more."""
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
    except (OSError, ValueError) as error:  # ValueError: chunked encoding that ends in the middle
        raise errors.BadRequest(reason=f"The upload was interrupted: {error}") from error
