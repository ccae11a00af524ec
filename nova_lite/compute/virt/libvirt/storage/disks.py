# SPDX-License-Identifier: Apache-2.0
"""Makes the files of disks: each appears whole or not at all, and one that exists is kept as it is."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from nova_lite.compute.images import Base
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import GuestDisk
from nova_lite.worker import commands, qemu_img

ROOT, EPHEMERAL, SWAP, CONFIG = "disk", "disk.eph", "disk.swap", "disk.config"
PART = ".part"
_TIMEOUT_S = 60.0


@dataclasses.dataclass(frozen=True)
class DiskFile:
    """The file of one of a guest's own disks, by its name in the guest's directory."""

    disk: GuestDisk
    name: str
    format: str
    serial: str


def files_of(disks: Iterable[GuestDisk]) -> tuple[DiskFile, ...]:
    """The files of these disks, in their order; volumes have none here.

    :raises ValueError: one of them is a volume without a connection.
    """
    found = []
    everything = tuple(disks)
    for disk, serial in zip(everything, guest_disk.serials(everything), strict=True):
        if disk.is_volume:
            if disk.volume is None:
                raise ValueError("a disk is a volume that is not connected to this host")
        elif disk.is_root:
            found.append(DiskFile(disk, ROOT, "qcow2", serial))
        elif disk.is_swap:
            found.append(DiskFile(disk, SWAP, "raw", serial))
        else:
            found.append(DiskFile(disk, serial.replace("ephemeral", EPHEMERAL), "raw", serial))
    return tuple(found)


def names_in(directory: Path) -> list[str]:
    """The names of the guest's own disks that are in `directory`."""
    return sorted(path.name for pattern in (ROOT, f"{EPHEMERAL}?", SWAP) for path in directory.glob(pattern))


def make_blank(file: DiskFile, directory: Path) -> None:
    """Make a blank disk, formatted as it says; one that exists is kept as it is."""
    if file.disk.is_swap:
        make_swap(directory / file.name, size_mb=file.disk.size_mb)
    else:
        make_ephemeral(directory / file.name, size_mb=file.disk.size_mb, label=file.serial)


def make_root(base: Base, path: Path, *, size_mb: int) -> None:
    """An overlay on the base, grown to `size_mb` (0: as large as the base)."""
    size = size_mb << 20 or base.virtual_size
    make_file(path, lambda part: qemu_img.make_overlay(part, size, backing=base.path))


def make_ephemeral(path: Path, *, size_mb: int, label: str) -> None:
    """An empty ext4 file system; cloud-init looks for it by its label."""
    make_file(path, lambda part: run(["mkfs.ext4", "-q", "-F", "-L", label, str(part), f"{size_mb}M"]))


def make_swap(path: Path, *, size_mb: int) -> None:
    """Swap space, ready for swapon."""
    make_file(path, lambda part: run(["mkswap", "-q", "-L", "swap0", str(part)]), size=size_mb << 20)


def cache_mode(instances: Path) -> str:
    """none, or writeback where files cannot be opened past the page cache (tmpfs before Linux 6.6)."""
    probe = instances / f".direct{PART}"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o600))
    except OSError:
        return "writeback"
    finally:
        probe.unlink(missing_ok=True)
    return "none"


def cache_of(path: Path) -> str:
    """As `cache_mode`, for a file that exists; one that cannot be opened now may be there when the guest needs it."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError as error:
        return "writeback" if error.errno == errno.EINVAL else "none"
    return "none"


def remove(directory: Path) -> None:
    """Remove all files of a guest; none is fine."""
    if directory.exists():
        shutil.rmtree(directory)


def make_file(path: Path, make: Callable[[Path], object], *, size: int = 0) -> None:
    """Make an empty file under a temporary name into what it is to be, and rename; a file that exists is kept as it is."""
    if path.exists():
        return
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    with part.open("wb") as stream:
        part.chmod(0o600)
        stream.truncate(size)
    try:
        make(part)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def run(arguments: list[str], *, timeout_s: float = _TIMEOUT_S) -> None:
    """:raises commands.CommandFailed: the program failed, or took too long."""
    commands.run(arguments, timeout_s=timeout_s)
