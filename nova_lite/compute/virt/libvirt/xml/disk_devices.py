# SPDX-License-Identifier: Apache-2.0
"""Disks of a domain: on which bus, under which name, with which limits."""

from __future__ import annotations

import dataclasses
import itertools
import string
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.hardware import extra_specs
from nova_lite.values.hardware import Hardware

_PREFIX = {"virtio": "vd", "ide": "hd"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disk:
    """One disk file: `format` raw|qcow2; `serial` is what the guest sees in /sys/block/*/serial, 20 bytes.

    `bus` None: as the guest's image says. `device` disk|cdrom. `boots_first`: the firmware tries it before the others.
    `backing`: the raw file that it is an overlay on. The domain names it: libvirt would read that in the disk's header, which
    the guest's QEMU can write, and would give QEMU access to whatever file is named there.
    """

    path: Path
    format: str
    serial: str
    is_readonly: bool = False
    bus: str | None = None
    device: str = "disk"
    boots_first: bool = False
    backing: Path | None = None


def write(devices: ET.Element, disks: tuple[Disk, ...], hardware: Hardware, *, cache: str) -> None:
    """All disks; names on each bus start with the letter a."""
    letters: dict[str, Iterator[str]] = {}
    has_order = any(disk.boots_first for disk in disks)
    for disk in disks:
        bus, device = _place(disk, hardware)
        prefix = _PREFIX.get(bus, "sd")
        letter = next(letters.setdefault(prefix, itertools.chain(string.ascii_lowercase)))
        element = _write(devices, disk, bus=bus, device=device, name=f"{prefix}{letter}", cache=cache)
        if has_order and (disk.boots_first or disk is disks[0]):
            ET.SubElement(element, "boot", order="1" if disk.boots_first else "2")
        if device == "disk":
            _limit(element, hardware)


def buses(disks: tuple[Disk, ...], hardware: Hardware) -> set[str]:
    """The buses that the disks are on."""
    return {_place(disk, hardware)[0] for disk in disks}


def _place(disk: Disk, hardware: Hardware) -> tuple[str, str]:
    """Bus and device; the config drive is a CD where the image says on which bus it looks for one."""
    if disk.bus is None and disk.is_readonly and hardware.cdrom_bus is not None:
        return hardware.cdrom_bus, "disk" if hardware.cdrom_bus == "virtio" else "cdrom"
    return disk.bus or hardware.disk_bus or "virtio", disk.device


def _write(devices: ET.Element, disk: Disk, *, bus: str, device: str, name: str, cache: str) -> ET.Element:
    element = ET.SubElement(devices, "disk", type="file", device=device)
    ET.SubElement(element, "driver", name="qemu", type=disk.format, cache=cache, discard="unmap")
    ET.SubElement(element, "source", file=str(disk.path))
    if disk.backing is not None:
        below = ET.SubElement(element, "backingStore", type="file")
        ET.SubElement(below, "format", type="raw")
        ET.SubElement(below, "source", file=str(disk.backing))
        ET.SubElement(below, "backingStore")
    ET.SubElement(element, "target", dev=name, bus=bus)
    if disk.is_readonly:
        ET.SubElement(element, "readonly")
    text(element, "serial", disk.serial[:20])
    return element


def _limit(element: ET.Element, hardware: Hardware) -> None:
    limits = [(name.removeprefix("disk_"), hardware.quota[name]) for name in extra_specs.QUOTA_DISK if name in hardware.quota]
    if limits:
        tune = ET.SubElement(element, "iotune")
        for tag, limit in limits:
            text(tune, tag, str(limit))
