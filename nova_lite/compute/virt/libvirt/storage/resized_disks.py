# SPDX-License-Identifier: Apache-2.0
"""Disks of a guest that is resized: the old ones are kept untouched in a directory until that is confirmed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nova_lite import errors
from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.rpc.compute import Guest
from nova_lite.worker import commands
from nova_lite.worker.files import sync_directory

KEPT = "before-resize"
# What is on its way there: a crash between two moves must not pass for a whole set.
_MOVING = "before-resize.new"
_NAMES = (disks.ROOT, disks.EPHEMERAL, disks.SWAP)
# A disk of 100 GiB, full, on storage that writes 50 MiB a second.
_COPY_S = 2400.0


def keep(where: Path) -> None:
    """Move the disks aside, all or none; what is aside already stays."""
    if (where / KEPT).exists():
        return
    moving = where / _MOVING
    moving.mkdir(mode=0o711, exist_ok=True)
    for name in _NAMES:
        if (where / name).exists():
            (where / name).rename(moving / name)
    moving.rename(where / KEPT)
    sync_directory(where)


def make(where: Path, guest: Guest) -> None:
    """Disks as large as the guest says, with what the old ones hold; swap space holds nothing worth keeping."""
    kept = where / KEPT
    _copy(kept / disks.ROOT, where / disks.ROOT)
    if guest.disk_gb:
        _grow(where / disks.ROOT, size_gb=guest.disk_gb, disk_format="qcow2")
    if guest.ephemeral_gb:
        if (kept / disks.EPHEMERAL).exists():
            _copy(kept / disks.EPHEMERAL, where / disks.EPHEMERAL)
            _grow(where / disks.EPHEMERAL, size_gb=guest.ephemeral_gb, disk_format="raw")
        disks.make_ephemeral(where / disks.EPHEMERAL, size_gb=guest.ephemeral_gb)
    if guest.swap_mb:
        disks.make_swap(where / disks.SWAP, size_mb=guest.swap_mb)


def restore(where: Path, guest: Guest) -> None:
    """Move the old disks back over the new ones; what the guest had none of before goes."""
    for aside in (where / KEPT, where / _MOVING):
        if not aside.exists():
            continue
        for name in _NAMES:
            if (aside / name).exists():
                (aside / name).replace(where / name)
        aside.rmdir()
    if not guest.ephemeral_gb:
        (where / disks.EPHEMERAL).unlink(missing_ok=True)
    if not guest.swap_mb:
        (where / disks.SWAP).unlink(missing_ok=True)
    sync_directory(where)


def discard(where: Path) -> None:
    """Remove the old disks; once begun, they cannot be had back."""
    doomed = where / f"{KEPT}{disks.PART}"
    if (where / KEPT).exists():
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(where / KEPT, doomed)
    if doomed.exists():
        shutil.rmtree(doomed)


class ResizedDisks:
    """The part of the libvirt driver that keeps old disks."""

    _host: str
    _instances: Path

    def keep_disks(self, server_id: str) -> None:
        with self._failing("set disks aside"):
            keep(disks.directory(self._instances, server_id))

    def resize_disks(self, guest: Guest) -> None:
        with self._failing("resize disks"):
            make(disks.directory(self._instances, guest.server_id), guest)

    def restore_disks(self, guest: Guest) -> None:
        with self._failing("restore disks"):
            restore(disks.directory(self._instances, guest.server_id), guest)

    def discard_disks(self, server_id: str) -> None:
        with self._failing("remove old disks"):
            discard(disks.directory(self._instances, server_id))

    @contextlib.contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        try:
            yield
        except (commands.CommandFailed, OSError, ValueError) as error:
            raise errors.HypervisorFailed(host=self._host, action=action, reason=error) from error


def _copy(source: Path, path: Path) -> None:
    """A copy that shares blocks where the file system can; it appears whole or not at all."""
    disks.make_file(path, ["cp", "--reflink=auto", "--sparse=always", str(source), "{}"], timeout_s=_COPY_S)


def _grow(path: Path, *, size_gb: int, disk_format: str) -> None:
    """:raises ValueError: it is larger already; the words are Nova's."""
    try:
        commands.run(["qemu-img", "resize", "-q", "-f", disk_format, str(path), f"{size_gb}G"], timeout_s=60.0)
    except commands.CommandFailed as failed:
        if "hrink" in str(failed):
            raise ValueError("Unable to resize disk down.") from failed
        raise
