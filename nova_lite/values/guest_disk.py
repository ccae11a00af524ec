# SPDX-License-Identifier: Apache-2.0
"""The disks of a guest, as Nova's block device mapping describes them, whatever hypervisor and storage they are on."""

from __future__ import annotations

import dataclasses
import itertools
import re
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
class VolumeConnection:
    """How a guest reaches a volume. `connection`: Cinder's connection_info, `driver_volume_type` and `data`; it may hold a secret.

    `is_shared`: other guests may have the volume too (multiattach).
    """

    attachment_id: str
    volume_id: str
    connection: dict[str, Any] = dataclasses.field(repr=False)  # Any: JSON; not in a log
    is_read_only: bool = False
    is_shared: bool = False

    @property
    def type(self) -> str:
        """Cinder's name of the kind of connection: local, iscsi, rbd, nfs, fake."""
        return str(self.connection.get("driver_volume_type", ""))

    @property
    def data(self) -> dict[str, Any]:  # Any: JSON
        """What the kind of connection needs, by Cinder's names."""
        return dict(self.connection.get("data") or {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestDisk:
    """One disk. `size_mb`: MiB, as swap space of flavors is not in GiB; 0: as large as the image or volume.

    `device`: disk or cdrom. `bus` None: as the guest's image says. `boot_index`: the firmware tries disks in ascending
    order; None: it does not boot from this one. `tag`: the name by which its user finds it in the metadata. `name`: as the API
    shows it, like /dev/vdb; None: the next one of its bus. `volume`: of a disk whose source is a volume, once it is connected.
    """

    source: DiskSource
    size_mb: int
    device: str = "disk"
    bus: str | None = None
    boot_index: int | None = None
    tag: str | None = None
    format: DiskFormat | None = None
    name: str | None = None
    volume: VolumeConnection | None = None

    @property
    def is_volume(self) -> bool:
        return self.source is DiskSource.VOLUME

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
    """What the disks take of a host, in GiB, each rounded up; volumes take nothing."""
    return sum(-(-disk.size_mb // 1024) for disk in disks if not disk.is_volume)


def serials(disks: Iterable[GuestDisk]) -> tuple[str, ...]:
    """What the guest reads as the serial number of each: the volume's id, or what a disk of the host is for."""
    numbers = itertools.count()
    return tuple(
        disk.volume.volume_id if disk.volume else "root" if disk.is_root else "swap0" if disk.is_swap else f"ephemeral{next(numbers)}"
        for disk in disks)


def image_is_used(disks: Iterable[GuestDisk]) -> bool:
    """Whether one of them is a copy of the guest's image."""
    return any(disk.source is DiskSource.IMAGE for disk in disks)


def volumes(disks: Iterable[GuestDisk]) -> dict[str, GuestDisk]:
    """Those that are connected volumes, by their attachments."""
    return {disk.volume.attachment_id: disk for disk in disks if disk.volume}


def with_volume(disks: Iterable[GuestDisk], added: GuestDisk) -> tuple[GuestDisk, ...]:
    """These and the connected volume `added`: in the place of its attachment's disk, else the last one."""
    assert added.volume is not None
    there = tuple(disks)
    known = volumes(there).get(added.volume.attachment_id)
    return (*there, added) if known is None else replaced(there, known, added)


def replaced(disks: Iterable[GuestDisk], old: GuestDisk, new: GuestDisk) -> tuple[GuestDisk, ...]:
    """These with the connected volume `new` in the place of `old`, by its attachment."""
    assert old.volume is not None
    attachment_id = old.volume.attachment_id
    return tuple(new if disk.volume and disk.volume.attachment_id == attachment_id else disk for disk in disks)


def without_volume(disks: Iterable[GuestDisk], attachment_id: str) -> tuple[GuestDisk, ...]:
    """These without the volume of the attachment."""
    return tuple(disk for disk in disks if disk.volume is None or disk.volume.attachment_id != attachment_id)


def with_local(disks: Iterable[GuestDisk], local: Iterable[GuestDisk]) -> tuple[GuestDisk, ...]:
    """The volumes of `disks`, with the disks of the host that `local` has beside them; the root disk first."""
    together = (*(disk for disk in local if not disk.is_volume), *(disk for disk in disks if disk.is_volume))
    return tuple(sorted(together, key=lambda disk: not disk.is_root))


def initiator_name(host: str) -> str:
    """The iSCSI name (RFC 7143) by which guests of the host log in to targets."""
    return f"iqn.2010-10.org.openstack:{re.sub('[^a-z0-9.-]', '-', host.lower())}"


def upgrade(fields: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Fields of a guest or its size as release 0.1 wrote them (disk_gb, ephemeral_gb, swap_mb), with `disks` instead."""
    if "disks" in fields:
        return fields
    disks = of_flavor(
        root_gb=fields["disk_gb"], ephemeral_gb=fields["ephemeral_gb"], swap_mb=fields["swap_mb"])
    return {**fields, "disks": [dataclasses.asdict(disk) for disk in disks]}
