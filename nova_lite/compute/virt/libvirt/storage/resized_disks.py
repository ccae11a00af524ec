# SPDX-License-Identifier: Apache-2.0
"""Disks of a guest that is resized: the old ones are kept, unchanged, in a directory of their own until it is confirmed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.rpc.compute import Guest
from nova_lite.worker import qemu_img
from nova_lite.worker.files import sync_directory

KEPT = "before-resize"
# While the disks are moved there: a crash between two of them must not look like a complete set.
_MOVING = "before-resize.new"
# A disk of 100 GiB, full, on storage that writes 50 MiB a second.
_COPY_S = 2400.0


def set_aside(directory: Path) -> None:
    """Move the disks aside, all or none; what is set aside already is kept."""
    if (directory / KEPT).exists():
        return
    moving = directory / _MOVING
    moving.mkdir(mode=0o711, exist_ok=True)
    for name in disks.names_in(directory):
        (directory / name).rename(moving / name)
    moving.rename(directory / KEPT)
    sync_directory(directory)


def make(directory: Path, guest: Guest, *, base: Path | None) -> None:
    """Make disks in the guest's sizes with the content of the old ones; swap space is made empty.

    `base`: the raw file that the root disk is an overlay on; None: the guest has no such disk.

    :raises ValueError: a disk would have to shrink.
    """
    for file in disks.files_of(guest.disks):
        old, path = directory / KEPT / file.name, directory / file.name
        if file.disk.is_root or (file.disk.is_ephemeral and old.exists()):
            _copy(old, path)
            if file.disk.size_mb:
                _grow(path, size=file.disk.size_mb << 20, base=base if file.format == "qcow2" else None)
        else:
            disks.make_blank(file, directory)


def restore(directory: Path, guest: Guest) -> None:
    """Move the old disks back over the new ones; a disk that the guest did not have before is removed."""
    for kept in (directory / KEPT, directory / _MOVING):
        if not kept.exists():
            continue
        for name in disks.names_in(kept):
            (kept / name).replace(directory / name)
        kept.rmdir()
    for name in set(disks.names_in(directory)) - {file.name for file in disks.files_of(guest.disks)}:
        (directory / name).unlink(missing_ok=True)
    sync_directory(directory)


def discard(directory: Path) -> None:
    """Remove the old disks; after this has begun, `restore` changes nothing."""
    doomed = directory / f"{KEPT}{disks.PART}"
    if (directory / KEPT).exists():
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(directory / KEPT, doomed)
    if doomed.exists():
        shutil.rmtree(doomed)


def _copy(source: Path, path: Path) -> None:
    """A copy that shares blocks where the file system can; it appears whole or not at all."""
    disks.make_file(path, lambda part: disks.run(
        ["cp", "--reflink=auto", "--sparse=always", str(source), str(part)], timeout_s=_COPY_S))


def _grow(path: Path, *, size: int, base: Path | None) -> None:
    """`base`: of a qcow2 file; None: it is raw.

    :raises ValueError: it is larger already; the text is Nova's.
    """
    if (path.stat().st_size if base is None else qemu_img.virtual_size(path, "qcow2", has_backing=True)) > size:
        raise ValueError("Unable to resize disk down.")
    if base is None:
        os.truncate(path, size)
    else:
        qemu_img.resize(path, size, backing=base)
