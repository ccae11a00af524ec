# SPDX-License-Identifier: Apache-2.0
"""Disks of a domain: on which bus, under which name, with which limits."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Collection
from pathlib import Path

from nova_lite.compute.virt.libvirt.xml import disk_names, volume_sources
from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.hardware import extra_specs
from nova_lite.values.guest_disk import VolumeConnection
from nova_lite.values.hardware import Hardware


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disk:
    """One disk file: `format` raw|qcow2; `serial` is what the guest sees in /sys/block/*/serial, 20 bytes with virtio.

    `bus` None: as the guest's image says. `device` disk|cdrom. `boots_first`: the firmware tries it before the others.
    `backing`: the raw file that it is an overlay on. The domain names it: libvirt would read that in the disk's header, which
    the guest's QEMU can write, and would give QEMU access to whatever file is named there. `name`: requested, like /dev/vdb.
    """

    path: Path
    format: str
    serial: str
    is_readonly: bool = False
    name: str | None = None
    bus: str | None = None
    device: str = "disk"
    boots_first: bool = False
    backing: Path | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeDisk:
    """One volume. `cache`: of a file of this host. `initiator`: the iSCSI name of this host. The others as of `Disk`."""

    volume: VolumeConnection
    initiator: str
    cache: str = "none"
    name: str | None = None
    bus: str | None = None
    device: str = "disk"
    boots_first: bool = False

    @property
    def is_readonly(self) -> bool:
        return self.volume.is_read_only

    @property
    def serial(self) -> str:
        """The whole id, by which the disk is found again; virtio shows the guest its first 20 bytes."""
        return self.volume.volume_id


def write(devices: ET.Element, disks: tuple[Disk | VolumeDisk, ...], hardware: Hardware, *, cache: str) -> None:
    """All disks; names on each bus start with the letter a.

    :raises ValueError: this host cannot reach a volume.
    """
    has_order = any(disk.boots_first for disk in disks)
    places = [_place(disk, hardware) for disk in disks]
    names = disk_names.assign([(bus, disk.name) for disk, (bus, _) in zip(disks, places, strict=True)])
    for disk, (bus, device), name in zip(disks, places, names, strict=True):
        element = _write(devices, disk, bus=bus, device=device, name=name, cache=cache, hardware=hardware)
        if has_order and (disk.boots_first or disk is disks[0]):
            ET.SubElement(element, "boot", order="1" if disk.boots_first else "2")


def one(disk: VolumeDisk, hardware: Hardware, *, taken: Collection[str]) -> ET.Element:
    """A volume for a guest that has disks of these names.

    :raises ValueError: this host cannot reach it.
    """
    bus, device = _place(disk, hardware)
    name = disk_names.choose(bus, requested=disk.name, taken=taken)
    return _write(ET.Element("devices"), disk, bus=bus, device=device, name=name, cache=disk.cache, hardware=hardware)


def buses(disks: tuple[Disk | VolumeDisk, ...], hardware: Hardware) -> set[str]:
    """The buses that the disks are on."""
    return {_place(disk, hardware)[0] for disk in disks}


def _place(disk: Disk | VolumeDisk, hardware: Hardware) -> tuple[str, str]:
    """Bus and device; the config drive is a CD where the image says on which bus it looks for one."""
    if isinstance(disk, Disk) and disk.bus is None and disk.is_readonly and hardware.cdrom_bus is not None:
        return hardware.cdrom_bus, "disk" if hardware.cdrom_bus == "virtio" else "cdrom"
    return disk.bus or hardware.disk_bus or "virtio", disk.device


def _write(  # what, where, and how
    devices: ET.Element, disk: Disk | VolumeDisk, *, bus: str, device: str, name: str, cache: str, hardware: Hardware
) -> ET.Element:
    element = ET.SubElement(devices, "disk", type="file", device=device)
    if isinstance(disk, VolumeDisk):
        volume_sources.write(element, disk.volume, cache=disk.cache, initiator=disk.initiator)
    else:
        _file(element, disk, cache)
    ET.SubElement(element, "target", dev=name, bus=bus)
    if disk.is_readonly:
        ET.SubElement(element, "readonly")
    if isinstance(disk, VolumeDisk):
        if disk.volume.is_shared:
            ET.SubElement(element, "shareable")
        text(element, "serial", disk.serial)
        _address(element, bus=bus, name=name, hardware=hardware)
        volume_sources.limit(element, disk.volume)
    else:
        text(element, "serial", disk.serial[:20])
        if device == "disk":
            _limit(element, hardware)
    return element


def _file(element: ET.Element, disk: Disk, cache: str) -> None:
    ET.SubElement(element, "driver", name="qemu", type=disk.format, cache=cache, discard="unmap")
    ET.SubElement(element, "source", file=str(disk.path))
    if disk.backing is not None:
        below = ET.SubElement(element, "backingStore", type="file")
        ET.SubElement(below, "format", type="raw")
        ET.SubElement(below, "source", file=str(disk.backing))
        ET.SubElement(below, "backingStore")


def _address(element: ET.Element, *, bus: str, name: str, hardware: Hardware) -> None:
    """libvirt gives each SCSI controller seven disks and would add controllers of another model; virtio's has room for all."""
    if bus == "scsi" and (hardware.scsi_model or "virtio-scsi") == "virtio-scsi":
        ET.SubElement(element, "address", type="drive", controller="0", bus="0", target="0", unit=str(disk_names.number_of(name)))


def _limit(element: ET.Element, hardware: Hardware) -> None:
    limits = [(name.removeprefix("disk_"), hardware.quota[name]) for name in extra_specs.QUOTA_DISK if name in hardware.quota]
    if limits:
        tune = ET.SubElement(element, "iotune")
        for tag, limit in limits:
            text(tune, tag, str(limit))
