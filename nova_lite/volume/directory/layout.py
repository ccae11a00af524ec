# SPDX-License-Identifier: Apache-2.0
"""Where the files of a pool are: each appears whole, on the disk, or not at all."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from nova_lite.runtime.failpoints import fail
from nova_lite.worker import files

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_OWN = ("chap.key", "pool.json", "lock", "partial", "snapshots")
BASE = "base-"
# Names that a compute worker gives files for its QEMU: compute/virt/libvirt/storage/open_files.py.
OPENED = ".open-"


class InUse(Exception):
    """Only the hypervisor that has the volume open could do it; the text says so."""


class BadName(ValueError):
    """A name that is no volume's or snapshot's."""


class Layout:
    """Volumes are files of `root`, snapshots of `snapshots`; `partial` has what is being made, or is of use for a while only."""

    def __init__(self, root: Path) -> None:
        self.root, self.snapshots, self.partial = root, root / "snapshots", root / "partial"

    def open(self) -> None:
        """Make the directories; remove what is half made."""
        # QEMU, which may run as another user, must reach volumes; only root can list them.
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        for directory in (self.snapshots, self.partial):
            directory.mkdir(mode=0o700, exist_ok=True)
        for path in self.partial.iterdir():
            path.unlink()

    def volume(self, name: str) -> Path:
        """:raises BadName: it cannot be one's name."""
        if not _NAME.fullmatch(name) or name in _OWN or name.startswith(BASE):
            raise BadName(f"{name!r} cannot be the name of a volume")
        return self.root / name

    def snapshot(self, name: str) -> Path:
        """:raises BadName: it cannot be one's name."""
        if not _NAME.fullmatch(name):
            raise BadName(f"{name!r} cannot be the name of a snapshot")
        return self.snapshots / name

    def names(self) -> frozenset[str]:
        """Those of the volumes and snapshots that are there."""
        volumes = (path.name for path in self.root.iterdir() if path.name not in _OWN and not path.name.startswith((BASE, OPENED)))
        return frozenset((*volumes, *(path.name for path in self.snapshots.iterdir())))

    @contextlib.contextmanager
    def making(self, target: Path) -> Iterator[Path]:
        """A file that becomes `target`, in place of what is there, when what is inside has ended well."""
        with self.temporary() as part:
            yield part
            files.sync(part)
            fail("volume.file.rename")
            part.rename(target)
            fail("volume.file.renamed")
            files.sync_directory(target.parent)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """An empty file for the while, readable by its owner alone."""
        part = self.partial / uuid.uuid4().hex
        part.touch(mode=0o600)
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """Remove a file for good; none is fine."""
        path.unlink(missing_ok=True)
        files.sync_directory(path.parent)


def never() -> None:
    """What is short is not given up."""
