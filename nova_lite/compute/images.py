# SPDX-License-Identifier: Apache-2.0
"""The cache of images as raw base files on the host: downloaded once, checked before use, removed when long unused."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.rpc.compute import Image
from nova_lite.runtime.failpoints import fail
from nova_lite.worker import commands, files, qemu_img
from nova_lite.worker.images import image_format
from nova_lite.worker.images.downloads import DownloadFailed, download
from nova_lite.worker.locks import NamedLocks

LOG = logging.getLogger(__name__)
_META, _LOCK, _PART = ".json", ".lock", ".part"
_WAIT_S = 1.0
# Conversions at once; each may have 4 GiB of memory.
_CONVERSIONS = 2
# What bases leave free for the guests' own disks: a part of the file system, but at most so many bytes.
_FREE_PART, _FREE_BYTES = 20, 4 << 30
# A base that was used so lately may be one that a guest is about to need.
_GRACE_S = 600.0


@dataclasses.dataclass(frozen=True)
class Base:
    """A raw file that guests' disks are overlays on; `virtual_size` in bytes. Never written again."""

    path: Path
    virtual_size: int


def key_of(image: Image) -> str:
    """The name of an image's base file: other bytes under the same id are another base."""
    return hashlib.sha256(f"{image.id}:{image.hash_algo}:{image.checksum}".encode()).hexdigest()[:40]


class ImageCache:
    """The base files under `directory`, shared by threads and by processes (flock)."""

    def __init__(
        self, directory: Path, *, host: str, idle_timeout_s: float, convert_timeout_s: float,
        free_bytes: int = _FREE_BYTES, now: Callable[[], float] = time.time, wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`free_bytes`: what bases leave free for the guests' own disks, but at most a twentieth of the file system."""
        self._directory = directory
        self._free_bytes = free_bytes
        self._host = host
        self._idle_timeout_s, self._convert_timeout_s = idle_timeout_s, convert_timeout_s
        self._now, self._wait = now, wait
        self._locks = NamedLocks()
        self._conversions = threading.BoundedSemaphore(_CONVERSIONS)
        # Of the last clean(): the bases that guests needed, and when that was. Later uses renew a base's time.
        self._needed: frozenset[str] = frozenset()
        self._cleaned_at = 0.0

    def fetch(self, image: Image, *, max_bytes: int | None, check: Callable[[], None]) -> Base:
        """The image's base, downloaded unless it is here; concurrent calls share one download.

        `max_bytes`: size of the disk that it must fit in; None: any.

        :raises errors.ImageFailed: it cannot be downloaded, is damaged, unsafe, or larger than `max_bytes`.
        """
        key = key_of(image)
        try:
            with self._alone(key, check):
                base = self.find(image) or self._make(image, key, max_bytes=max_bytes, check=check)
        except (DownloadFailed, image_format.BadImage, commands.CommandFailed) as error:
            raise errors.ImageFailed(host=self._host, id=image.id, reason=error) from error
        except OSError as error:
            LOG.exception("image %s: not cached", image.id)
            raise errors.ImageFailed(host=self._host, id=image.id, reason=error.strerror or error) from error
        if max_bytes is not None and base.virtual_size > max_bytes:
            raise errors.ImageFailed(host=self._host, id=image.id, reason=_too_small(base.virtual_size, max_bytes))
        return base

    def find(self, image: Image) -> Base | None:
        """The base if it is here with its whole size; it counts as used now."""
        path = self._directory / key_of(image)
        metadata = path.with_suffix(_META)
        try:
            size = int(json.loads(metadata.read_text())["virtual_size"])
            actual = path.stat().st_size
        except (OSError, ValueError, KeyError):
            return None
        if actual != size:
            LOG.warning("image %s: its base has %d bytes instead of %d; it is downloaded again", image.id, actual, size)
            return None
        os.utime(metadata, (self._now(), self._now()))
        return Base(path, size)

    def get(self, image: Image) -> Base:
        """As `find`.

        :raises errors.ImageFailed: it is not here.
        """
        base = self.find(image)
        if base is None:
            raise errors.ImageFailed(host=self._host, id=image.id, reason="its base file is not in the cache any more")
        return base

    def used_bytes(self) -> int:
        """What the cache occupies on the file system, holes excluded."""
        total = 0
        for path in self._directory.glob("*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_blocks * 512
        return total

    def clean(self, *, kept: Collection[Image], unused_for_s: float) -> None:
        """Remove partial files of a crash, and bases of no image in `kept` that were unused for `unused_for_s`.

        While little space is free, bases of no image in `kept` go earlier, those that were unused for longest first.
        """
        if not self._directory.exists():
            return
        for part in (*self._directory.glob(f"*{_PART}*"), *self._directory.glob(f"*{files.PARTIAL}")):
            with self._try_alone(part.name.partition(".")[0]) as is_free:
                if is_free:
                    part.unlink(missing_ok=True)
        self._needed, self._cleaned_at = frozenset(key_of(image) for image in kept), self._now()
        limit = self._now() - unused_for_s
        for metadata in self._directory.glob(f"*{_META}"):
            with contextlib.suppress(FileNotFoundError):
                if metadata.stem not in self._needed and metadata.stat().st_mtime < limit:
                    self._remove(metadata.stem)
        for _, key in self._unneeded():
            if self._lacks_space():
                self._remove(key)

    def _unneeded(self) -> list[tuple[float, str]]:
        """Time of last use and name of bases that no guest needed at the last clean(), the longest unused first."""
        found = []
        for metadata in self._directory.glob(f"*{_META}"):
            with contextlib.suppress(FileNotFoundError):
                found.append((metadata.stat().st_mtime, metadata.stem))
        limit = min(self._cleaned_at, self._now() - _GRACE_S)
        return sorted((used_at, key) for used_at, key in found if key not in self._needed and used_at < limit)

    def _remove(self, key: str) -> None:
        """Remove a base, unless it has been used since the last clean(), or is in use now."""
        metadata = (self._directory / key).with_suffix(_META)
        with self._try_alone(key) as is_free:
            if is_free and metadata.exists() and metadata.stat().st_mtime < self._cleaned_at:
                metadata.unlink()
                metadata.with_suffix("").unlink(missing_ok=True)
                LOG.info("base %s removed: no guest needs it", key)

    def _lacks_space(self) -> bool:
        """Whether less is free than the guests' own disks need."""
        disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize < min(disk.f_blocks * disk.f_frsize // _FREE_PART, self._free_bytes)

    def _guarding(self, check: Callable[[], None]) -> Callable[[], None]:
        """`check`, and that what is being written leaves space for guests, if necessary without bases that none needs.

        It raises image_format.BadImage when there is no space: how much an image takes is known once it is written.
        """
        def check_space() -> None:
            check()
            if not self._lacks_space():
                return
            for _, key in self._unneeded():
                self._remove(key)
                if not self._lacks_space():
                    return
            raise image_format.BadImage("the host has no space for it beside the disks of its guests")

        return check_space

    def _make(self, image: Image, key: str, *, max_bytes: int | None, check: Callable[[], None]) -> Base:
        began = time.monotonic()
        arrived, raw = self._directory / f"{key}{_PART}", self._directory / f"{key}{_PART}.raw"
        try:
            check = self._guarding(check)
            check()
            fail("image.download.before")
            download(image, arrived, timeout_s=self._idle_timeout_s, check=check, wait=self._wait)
            size = image_format.virtual_size(arrived, image.disk_format)
            if max_bytes is not None and size > max_bytes:
                raise image_format.BadImage(_too_small(size, max_bytes))
            fail("image.convert.before")
            if image.disk_format == "raw":
                arrived.rename(raw)
            else:
                with self._one_of_few(check):
                    self._convert(image, arrived, raw, size, check)
            os.truncate(raw, size)
            fail("image.keep.before")
            self._commit(image, key, raw, size)
        finally:
            arrived.unlink(missing_ok=True)
            raw.unlink(missing_ok=True)
        LOG.info("image %s: cached in %.2f s", image.id, time.monotonic() - began)
        return Base(self._directory / key, size)

    @contextlib.contextmanager
    def _one_of_few(self, check: Callable[[], None]) -> Iterator[None]:
        """Wait for one of the few places of conversions."""
        while not self._conversions.acquire(timeout=_WAIT_S):
            check()
        try:
            yield
        finally:
            self._conversions.release()

    def _convert(self, image: Image, source: Path, target: Path, size: int, check: Callable[[], None]) -> None:
        qemu_img.virtual_size(source, image.disk_format, check=check)
        qemu_img.convert(
            source, target, formats=(image.disk_format, "raw"), size=size, timeout_s=self._convert_timeout_s, check=check)

    def _commit(self, image: Image, key: str, raw: Path, size: int) -> None:
        """Make the base visible whole: its bytes on disk first, then its name, then the file of its size, which makes it valid."""
        path = self._directory / key
        files.sync(raw)
        # Read-only: an active block commit without a base would write into it (libvirt 9.0).
        raw.chmod(0o444)
        path.with_suffix(_META).unlink(missing_ok=True)
        raw.rename(path)
        metadata = {"image": image.id, image.hash_algo: image.checksum, "virtual_size": size}
        files.replace(path.with_suffix(_META), json.dumps(metadata))

    @contextlib.contextmanager
    def _alone(self, key: str, check: Callable[[], None]) -> Iterator[None]:
        """Hold the image against this process's threads, and then against other processes."""
        # QEMU, which may run as another user, must reach the bases; their names cannot be guessed or listed.
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        with self._locks.hold(key, check=check):
            while True:
                with self._flock(key) as is_ours:
                    if is_ours:
                        yield
                        return
                check()
                self._wait(0.1)

    @contextlib.contextmanager
    def _try_alone(self, key: str) -> Iterator[bool]:
        if self._locks.is_held(key):
            yield False
            return
        with self._locks.hold(key), self._flock(key) as is_ours:
            yield is_ours

    @contextlib.contextmanager
    def _flock(self, key: str) -> Iterator[bool]:
        descriptor = os.open(self._directory / f"{key}{_LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)


def _too_small(size: int, max_bytes: int) -> str:
    return f"its disk of {size / (1 << 30):.2f} GiB does not fit in the flavor's {max_bytes >> 30} GiB"
