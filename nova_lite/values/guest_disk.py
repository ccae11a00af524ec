# SPDX-License-Identifier: Apache-2.0
"""The disks of a guest, as Nova's block device mapping describes them, whatever hypervisor and storage they are on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import StrEnum
from typing import Any


class DiskSource(StrEnum):
    """What a disk holds at first: a copy of the guest's image, a volume's content, or nothing."""

    IMAGE = "image"
    VOLUME = "volume"
    BLANK = "blank"


class DiskFormat(StrEnum):
    """How a blank disk is formatted, as Nova's `guest_format`."""

    EXT4 = "ext4"
    SWAP = "swap"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestDisk:
    """One disk. `size_mb`: MiB, as swap space of flavors is not in GiB; 0: as large as the image or volume.

    `device`: disk or cdrom. `bus` None: as the guest's image says. `boot_index`: the firmware tries disks in ascending
    order; None: it does not boot from this one. `tag`: the name by which its user finds it in the metadata.
    """

    source: DiskSource
    size_mb: int
    device: str = "disk"
    bus: str | None = None
    boot_index: int | None = None
    tag: str | None = None
    format: DiskFormat | None = None

    @property
    def is_root(self) -> bool:
        return self.boot_index == 0

    @property
    def is_swap(self) -> bool:
        return self.format is DiskFormat.SWAP

    @property
    def is_ephemeral(self) -> bool:
        """Whether it is a blank disk for data, which a rebuild may preserve."""
        return self.source is DiskSource.BLANK and not self.is_root and not self.is_swap


def of_flavor(*, root_gb: int, ephemeral_gb: int, swap_mb: int) -> tuple[GuestDisk, ...]:
    """The disks of a guest that boots from its image: root, ephemeral and swap, in the order in which it sees them."""
    disks = [GuestDisk(source=DiskSource.IMAGE, size_mb=root_gb << 10, boot_index=0)]
    if ephemeral_gb:
        disks.append(GuestDisk(source=DiskSource.BLANK, size_mb=ephemeral_gb << 10, format=DiskFormat.EXT4))
    if swap_mb:
        disks.append(GuestDisk(source=DiskSource.BLANK, size_mb=swap_mb, format=DiskFormat.SWAP))
    return tuple(disks)


def root_size_mb(disks: Iterable[GuestDisk]) -> int:
    """The size of the root disk; 0: as large as its image, or there is none."""
    return next((disk.size_mb for disk in disks if disk.is_root), 0)


def total_gb(disks: Iterable[GuestDisk]) -> int:
    """What the disks take of a host, in GiB, each rounded up."""
    return sum(-(-disk.size_mb // 1024) for disk in disks)


def upgrade(fields: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Fields of a guest or its size as release 0.1 wrote them (disk_gb, ephemeral_gb, swap_mb), with `disks` instead."""
    if "disks" in fields:
        return fields
    disks = of_flavor(
        root_gb=fields["disk_gb"], ephemeral_gb=fields["ephemeral_gb"], swap_mb=fields["swap_mb"])
    return {**fields, "disks": [dataclasses.asdict(disk) for disk in disks]}
