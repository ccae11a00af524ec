# SPDX-License-Identifier: Apache-2.0
"""Volumes as raw files; their snapshots and clones share their blocks on file systems that clone files (XFS, btrfs), and are copies on others."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from nova_lite.volume.directory.layout import InUse, Layout, never
from nova_lite.volume.driver import Check, ImageFile, LiveSnapshot, ResizedBy
from nova_lite.worker import files, qemu_img

# linux/fs.h; Python has no name for it.
_FICLONE = 0x40049409


def can_clone(layout: Layout) -> bool:
    """Whether the pool's file system clones files: found by cloning one."""
    with layout.temporary() as source, layout.temporary() as target:
        source.write_bytes(bytes(4096))
        try:
            clone(source, target)
        except OSError:
            return False
        return True


def clone(source: Path, target: Path) -> None:
    """Give `target`, which exists, the content of `source` at one moment, also while that is written.

    :raises OSError: the file system cannot, or there is no such file.
    """
    with source.open("rb") as read, target.open("r+b") as written:
        fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())


class RawFiles:
    """See nova_lite.volume.directory.pool.Files."""

    disk_format = "raw"

    def __init__(self, layout: Layout, *, timeout_s: float, clones: bool) -> None:
        """`clones`: the file system clones files."""
        self._layout, self._timeout_s, self._clones = layout, timeout_s, clones
        self.live_snapshot = LiveSnapshot.STORAGE if clones else LiveSnapshot.NONE
        self.clone_cost = "none" if clones else "copy"

    def open(self) -> None:
        """There is nothing beside the files."""

    def size_of(self, path: Path) -> int:
        return path.stat().st_size

    def create_blank(self, path: Path, size: int) -> None:
        with self._layout.making(path) as part:
            os.truncate(part, size)

    def create_from_image(self, path: Path, size: int, image: ImageFile, *, check: Check) -> None:
        with self._layout.making(path) as part:
            qemu_img.convert(
                image.path, part, formats=(image.disk_format, "raw"), size=image.virtual_size, timeout_s=self._timeout_s, check=check)
            os.truncate(part, size)

    def create_from_volume(self, path: Path, size: int, volume: Path, *, is_in_use: bool, check: Check) -> None:
        self._check_idle(is_in_use=is_in_use)
        self._clone(volume, path, size, check=check)

    def create_from_snapshot(self, path: Path, size: int, snapshot: Path, *, check: Check) -> None:
        self._clone(snapshot, path, size, check=check)

    def overwrite(self, path: Path, size: int, image: ImageFile, *, check: Check) -> None:
        self.create_from_image(path, max(size, path.stat().st_size), image, check=check)

    def delete(self, path: Path) -> None:
        self._layout.remove(path)

    def extend(self, path: Path, size: int, *, is_in_use: bool) -> ResizedBy:
        if path.stat().st_size < size:
            os.truncate(path, size)
            files.sync(path)
        return ResizedBy.HYPERVISOR if is_in_use else ResizedBy.STORAGE

    def create_snapshot(self, snapshot: Path, volume: Path, *, is_in_use: bool) -> None:
        self._check_idle(is_in_use=is_in_use)
        self._clone(volume, snapshot, volume.stat().st_size)

    def delete_snapshot(self, snapshot: Path) -> None:
        self._layout.remove(snapshot)

    def revert(self, path: Path, size: int, snapshot: Path) -> None:
        self._clone(snapshot, path, size)

    @contextlib.contextmanager
    def reading(self, path: Path, disk_format: str, *, is_in_use: bool, check: Check) -> Iterator[Path]:
        self._check_idle(is_in_use=is_in_use)
        with self._layout.temporary() as still, self._layout.temporary() as image:
            self._copy(path, still, check=check)
            if disk_format == "raw":
                yield still
                return
            qemu_img.convert(
                still, image, formats=("raw", disk_format), size=still.stat().st_size, timeout_s=self._timeout_s, check=check)
            yield image

    def _check_idle(self, *, is_in_use: bool) -> None:
        """:raises InUse: a copy of a volume in use would be of no one moment."""
        if is_in_use and not self._clones:
            raise InUse("the volume is in use, and its file system cannot clone files")

    def _copy(self, source: Path, target: Path, *, check: Check) -> None:
        if self._clones:
            clone(source, target)
        else:
            qemu_img.convert(
                source, target, formats=("raw", "raw"), size=source.stat().st_size, timeout_s=self._timeout_s, check=check)

    def _clone(self, source: Path, target: Path, size: int, *, check: Check = never) -> None:
        with self._layout.making(target) as part:
            self._copy(source, part, check=check)
            os.truncate(part, max(size, source.stat().st_size))
