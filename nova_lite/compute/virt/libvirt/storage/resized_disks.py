# SPDX-License-Identifier: Apache-2.0
"""Disks of a guest that is resized: the old ones are kept, unchanged, in a directory of their own until it is confirmed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.rpc.compute import Guest
from nova_lite.worker import commands
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


def make(directory: Path, guest: Guest) -> None:
    """Make disks in the guest's sizes with the content of the old ones; swap space is made empty.

    :raises ValueError: a disk would have to shrink.
    """
    for file in disks.files_of(guest.disks):
        old, path = directory / KEPT / file.name, directory / file.name
        if file.disk.is_root or (file.disk.is_ephemeral and old.exists()):
            _copy(old, path)
            if file.disk.size_mb:
                _grow(path, size_mb=file.disk.size_mb, disk_format=file.format)
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
    disks.make_file(path, ["cp", "--reflink=auto", "--sparse=always", str(source), "{}"], timeout_s=_COPY_S)


def _grow(path: Path, *, size_mb: int, disk_format: str) -> None:
    """:raises ValueError: it is larger already; the text is Nova's."""
    facts = json.loads(commands.run(
        ["qemu-img", "info", "--output=json", "-f", disk_format, str(path)], timeout_s=60.0))
    if int(facts["virtual-size"]) > size_mb << 20:
        raise ValueError("Unable to resize disk down.")
    commands.run(["qemu-img", "resize", "-q", "-f", disk_format, str(path), f"{size_mb}M"], timeout_s=60.0)
