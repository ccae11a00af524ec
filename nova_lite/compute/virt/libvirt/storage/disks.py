# SPDX-License-Identifier: Apache-2.0
"""Makes the files of disks: each appears whole or not at all, and one that exists is kept as it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nova_lite.compute.images import Base
from nova_lite.worker import commands

ROOT, EPHEMERAL, SWAP, CONFIG = "disk", "disk.eph0", "disk.swap", "disk.config"
PART = ".part"
_TIMEOUT_S = 60.0


def make_root(base: Base, path: Path, *, disk_gb: int) -> None:
    """An overlay on the base, grown to `disk_gb` (0: as large as the base)."""
    size = disk_gb << 30 or base.virtual_size
    make_file(path, ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base.path), "{}", str(size)])


def make_ephemeral(path: Path, *, size_gb: int) -> None:
    """An empty ext4 file system, labelled as cloud-init looks for it."""
    make_file(path, ["mkfs.ext4", "-q", "-F", "-L", "ephemeral0", "{}", f"{size_gb}G"])


def make_swap(path: Path, *, size_mb: int) -> None:
    """Swap space, ready for swapon."""
    make_file(path, ["mkswap", "-q", "-L", "swap0", "{}"], size=size_mb << 20)


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


def remove(directory: Path) -> None:
    """Remove all files of a guest; none is fine."""
    if directory.exists():
        shutil.rmtree(directory)


def make_file(path: Path, arguments: list[str], *, size: int = 0, timeout_s: float = _TIMEOUT_S) -> None:
    """Run a program on a temporary name, its `{}`, and rename; a file that exists is kept as it is."""
    if path.exists():
        return
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    with part.open("wb") as stream:
        part.chmod(0o600)
        stream.truncate(size)
    try:
        commands.run([str(part) if argument == "{}" else argument for argument in arguments], timeout_s=timeout_s)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
