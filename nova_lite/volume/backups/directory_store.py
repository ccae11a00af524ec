# SPDX-License-Identifier: Apache-2.0
"""A directory as a store of backups: of this host's disk, or one that several hosts have mounted."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

from nova_lite.runtime.failpoints import fail
from nova_lite.volume.backups.store import StoreFailed
from nova_lite.worker import files

_KEY = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_PARTIAL = ".partial-"


class DirectoryStore:
    """See nova_lite.volume.backups.store.Store. An object is a file, which is renamed once its bytes are on the disk."""

    def __init__(self, root: Path, *, min_free_gb: float = 0) -> None:
        """`min_free_gb`: what new objects leave free on the file system."""
        self._root, self._floor = root, int(min_free_gb * (1 << 30))

    def put(self, key: str, content: bytes) -> None:
        path = self._path(key)
        self._make_parents(path.parent)
        self._check_space(len(content))
        partial = path.with_name(f"{_PARTIAL}{uuid.uuid4().hex}")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            fail("volume.backup.object")
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
        files.sync_directory(path.parent)

    def get(self, key: str, *, max_bytes: int) -> bytes | None:
        try:
            with self._path(key).open("rb") as stream:
                content = stream.read(max_bytes + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(content) > max_bytes:
            raise StoreFailed(f"object {key} is larger than {max_bytes} bytes")
        return content

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        self._remove_empty_from(path.parent)

    def keys(self, prefix: str) -> list[str]:
        below = self._path(prefix) if prefix else self._root
        return sorted(str(path.relative_to(self._root)) for path in below.rglob("*") if not path.name.startswith(_PARTIAL) and path.is_file())

    def clear(self, prefix: str) -> None:
        directory = self._path(prefix)
        for key in self.keys(prefix):
            self.delete(key)
        for partial in directory.rglob(f"{_PARTIAL}*"):  # a crash left it
            partial.unlink(missing_ok=True)
        self._remove_empty_from(directory)

    def _path(self, key: str) -> Path:
        """:raises StoreFailed: it is no key; nothing outside of the directory is ever opened."""
        if not _KEY.fullmatch(key):
            raise StoreFailed(f"{key!r} is no key of an object")
        return self._root / key

    def _make_parents(self, directory: Path) -> None:
        """Make the directory, which survives a power cut too."""
        missing = [one for one in (directory, *directory.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o700, exist_ok=True)
            files.sync_directory(one.parent)

    def _remove_empty_from(self, lowest: Path) -> None:
        """Remove the directory and those above it that have nothing any more."""
        for directory in (lowest, *lowest.parents):
            if directory == self._root or not self._remove_empty(directory):
                break

    def _remove_empty(self, directory: Path) -> bool:
        try:
            files.sync_directory(directory)
            directory.rmdir()
        except OSError:  # others are in it, or it has gone
            return False
        files.sync_directory(directory.parent)
        return True

    def _check_space(self, size: int) -> None:
        """:raises StoreFailed: guests that write to thin volumes need what is left."""
        disk = os.statvfs(self._root)
        free = disk.f_bavail * disk.f_frsize
        if free - size < self._floor:
            raise StoreFailed(f"{self._root} has {free / (1 << 30):.2f} GiB free, and {self._floor >> 30} GiB are kept free (min_free_gb)")
