# SPDX-License-Identifier: Apache-2.0
"""Volumes as qcow2 files on file systems that cannot clone files: snapshots and clones are on hidden bases, which go with the last one.

A base is never written again. It has a name that cannot be guessed, as QEMU's user must be able to read it; a snapshot is a symbolic
link to its base. Who is on which base is read from the headers, which no guest can write, when the pool is opened.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from nova_lite.runtime.failpoints import fail
from nova_lite.volume.directory.layout import BASE, InUse, Layout, never
from nova_lite.volume.driver import Check, ImageFile, LiveSnapshot, ResizedBy
from nova_lite.worker import files, image_lock, qemu_img

# Reading a block looks through all layers: a copy is made instead of one more.
MAX_LAYERS = 16
# https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
_HEADER = struct.Struct(">4sIQIIQ")
_MAGIC = b"QFI\xfb"


class BadFile(Exception):
    """The text is what is wrong with a file of the pool."""


def read_header(path: Path) -> tuple[int, str]:
    """Bytes of the disk, and the name of the base that it is on; empty: none.

    :raises BadFile: it is no file of ours.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size or not head.startswith(_MAGIC):
            raise BadFile(f"{path.name} is no qcow2 file")
        _, _, offset, length, _, size = _HEADER.unpack(head)
        stream.seek(offset)
        name = stream.read(min(length, 1023)).decode(errors="replace") if offset else ""
    if name and (not name.startswith(BASE) or "/" in name):
        raise BadFile(f"{path.name} refers to a file that is none of the pool's")
    return size, name


class Qcow2Files:
    """See nova_lite.volume.directory.pool.Files; safe for threads."""

    disk_format = "qcow2"
    live_snapshot = LiveSnapshot.HYPERVISOR
    clone_cost = "none"

    def __init__(self, layout: Layout, *, timeout_s: float) -> None:
        self._layout, self._timeout_s = layout, timeout_s
        self._guard = threading.RLock()
        self._users: dict[str, set[str]] = {}

    def open(self) -> None:
        """Find out who is on which base, and remove bases that a crash left to nobody."""
        with self._guard:
            self._users = {path.name: set() for path in self._layout.root.glob(f"{BASE}*")}
            for path in (*self._volumes(), *self._layout.root.glob(f"{BASE}*")):
                self._use(read_header(path)[1], path.name)
            for link in self._layout.snapshots.iterdir():
                self._use(_base_of(link), link.name)
            for name in [name for name, users in self._users.items() if not users]:
                self._collect(name)
            for path in self._volumes():
                path.chmod(0o600)  # a crash may have left it as the base that it was to become

    def size_of(self, path: Path) -> int:
        return read_header(path)[0]

    def create_blank(self, path: Path, size: int) -> None:
        with self._layout.making(path) as part:
            qemu_img.make_qcow2(part, size)

    def create_from_image(self, path: Path, size: int, image: ImageFile, *, check: Check) -> None:
        with self._layout.making(path) as part:
            qemu_img.convert(
                image.path, part, formats=(image.disk_format, "qcow2"), size=image.virtual_size, timeout_s=self._timeout_s, check=check)
            _grow(part, size, below=())

    def create_from_volume(self, path: Path, size: int, volume: Path, *, is_in_use: bool, check: Check) -> None:
        if is_in_use:
            raise InUse("the volume is in use, and only its hypervisor could copy it meanwhile")
        base = self._base_of_now(volume, check=check)
        with self._guard:
            self._overlay(path, size, base)

    def create_from_snapshot(self, path: Path, size: int, snapshot: Path, *, check: Check) -> None:
        with self._guard:
            base = _base_of(snapshot)
            if len(self._below(self._layout.root / base)) + 1 < MAX_LAYERS:
                self._overlay(path, size, base)
                return
        self._copy(self._layout.root / base, path, size, check=check)

    def overwrite(self, path: Path, size: int, image: ImageFile, *, check: Check) -> None:
        """The caller has the volume's lock: no base is made of it meanwhile."""
        grown, below = read_header(path)
        self.create_from_image(path, max(size, grown), image, check=check)
        with self._guard:
            self._leave(below, path.name)

    def delete(self, path: Path) -> None:
        with self._guard:
            base = read_header(path)[1] if path.exists() else ""
            self._layout.remove(path)
            self._leave(base, path.name)

    def extend(self, path: Path, size: int, *, is_in_use: bool) -> ResizedBy:
        if read_header(path)[0] < size:
            if is_in_use and image_lock.is_held(path):
                return ResizedBy.HYPERVISOR  # which has it open, and grows the file too
            with self._guard:
                below = self._below(path)
            _grow(path, size, below=below)
            files.sync(path)
        return ResizedBy.HYPERVISOR if is_in_use else ResizedBy.STORAGE

    def create_snapshot(self, snapshot: Path, volume: Path, *, is_in_use: bool) -> None:
        if is_in_use:
            with self._guard:
                frozen = self._freeze(volume)
            if frozen is None:
                raise InUse(f"the volume is in use, and on {MAX_LAYERS} snapshots: only one that is not in use can be copied")
            base = frozen
        else:
            base = self._base_of_now(volume, check=never)
        with self._guard:
            fail("volume.snapshot.base")
            self._use(base, snapshot.name)
            os.symlink(Path("..", base), snapshot)
            files.sync_directory(snapshot.parent)

    def delete_snapshot(self, snapshot: Path) -> None:
        with self._guard:
            base = _base_of(snapshot) if snapshot.is_symlink() else ""
            self._layout.remove(snapshot)
            self._leave(base, snapshot.name)

    def revert(self, path: Path, size: int, snapshot: Path) -> None:
        with self._guard:
            before, base = read_header(path)[1], _base_of(snapshot)
            self._overlay(path, size, base)
            if before != base:
                self._leave(before, path.name)

    @contextlib.contextmanager
    def reading(self, path: Path, disk_format: str, *, is_in_use: bool, check: Check) -> Iterator[Path]:
        if is_in_use:
            raise InUse("the volume is in use, and only its hypervisor could copy it meanwhile")
        with self._layout.temporary() as image:
            self._convert(path, image, disk_format, check=check)
            yield image

    def _volumes(self) -> list[Path]:
        names = self._layout.names()
        return [path for path in self._layout.root.iterdir() if path.name in names and path.is_file()]

    def _base_of_now(self, volume: Path, *, check: Check) -> str:
        """A base with the volume's present content, which the volume itself is an overlay on from now on.

        It is a copy where there would be too many layers; those below go when no other volume or snapshot is on them.
        """
        with self._guard:
            frozen = self._freeze(volume)
        if frozen is not None:
            return frozen
        base = self._copy_to_base(volume, check=check)
        with self._guard:
            size, below = read_header(volume)
            fail("volume.base.copied")
            self._overlay(volume, size, base)
            self._leave(below, volume.name)
        return base

    def _freeze(self, volume: Path) -> str | None:
        """A base with the volume's content, which the volume itself is an overlay on from now on; None: it has too many layers."""
        size, below = read_header(volume)
        if len(self._below(volume)) + 1 >= MAX_LAYERS:
            return None
        base = f"{BASE}{secrets.token_hex(16)}"
        with self._layout.temporary() as fresh:
            qemu_img.make_qcow2(fresh, size, backing_name=base)
            if below and volume.stat().st_size <= fresh.stat().st_size:
                return below  # nothing was written to it since
            files.sync(fresh)
            os.link(volume, self._layout.root / base)
            volume.chmod(0o444)
            files.sync_directory(self._layout.root)
            fail("volume.base.linked")
            fresh.rename(volume)
            files.sync_directory(self._layout.root)
        self._leave(below, volume.name, but=base)
        self._use(below, base)
        self._use(base, volume.name)
        return base

    def _copy_to_base(self, volume: Path, *, check: Check) -> str:
        """A base with a copy of the volume's content, on no other."""
        base = f"{BASE}{secrets.token_hex(16)}"
        with self._layout.making(self._layout.root / base) as part:
            self._convert(volume, part, "qcow2", check=check)
            part.chmod(0o444)
        return base

    def _overlay(self, path: Path, size: int, base: str) -> None:
        """Make the volume an overlay on the base, in place of what it was."""
        with self._layout.making(path) as part:
            qemu_img.make_qcow2(part, max(size, read_header(self._layout.root / base)[0]), backing_name=base)
        self._use(base, path.name)

    def _copy(self, source: Path, path: Path, size: int, *, check: Check) -> None:
        """Make the volume a copy, on no base."""
        with self._layout.making(path) as part:
            self._convert(source, part, "qcow2", check=check)
            _grow(part, size, below=())

    def _convert(self, source: Path, target: Path, disk_format: str, *, check: Check) -> None:
        with self._guard:
            below = self._below(source)
        qemu_img.convert(
            source, target, formats=("qcow2", disk_format), size=read_header(source)[0], timeout_s=self._timeout_s, backing=below,
            check=check)

    def _below(self, path: Path) -> tuple[Path, ...]:
        """The bases that a file is on, the nearest first."""
        found: list[Path] = []
        while name := read_header(path)[1]:
            path = self._layout.root / name
            found.append(path)
        return tuple(found)

    def _use(self, base: str, name: str) -> None:
        if base:
            self._users.setdefault(base, set()).add(name)

    def _leave(self, base: str, name: str, *, but: str = "") -> None:
        """`name` is not on the base any more; the base goes with the last one, unless `but` is about to use it."""
        if base:
            self._users.setdefault(base, set()).discard(name)
            if not self._users[base] and not but:
                self._collect(base)

    def _collect(self, base: str) -> None:
        """Remove a base that nobody is on, and those below that only it was on."""
        path = self._layout.root / base
        below = read_header(path)[1]
        fail("volume.base.remove")
        self._layout.remove(path)
        self._users.pop(base, None)
        self._leave(below, base)


def _base_of(snapshot: Path) -> str:
    """The name of the base that the snapshot is of."""
    return Path(os.readlink(snapshot)).name


def _grow(path: Path, size: int, *, below: tuple[Path, ...]) -> None:
    if read_header(path)[0] < size:
        qemu_img.resize(path, size, backing=below)
