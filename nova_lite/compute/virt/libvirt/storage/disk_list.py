# SPDX-License-Identifier: Apache-2.0
"""Which disks a guest has, in the order in which it sees them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nova_lite.compute.images import key_of
from nova_lite.compute.virt import rescue
from nova_lite.compute.virt.libvirt.storage import disks, open_files
from nova_lite.compute.virt.libvirt.xml.domain import Disk, VolumeDisk
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection

RESCUE, RESCUE_CONFIG = "disk.rescue", "disk.config.rescue"


def disks_of(guest: Guest, directory: Path, *, bases: Path, arch: str, host: str) -> tuple[Disk | VolumeDisk, ...]:
    """The guest's disks, in the order in which it sees them; `bases`: where the cache has images.

    :raises errors.ImageFailed: the rescue image requires a device that no guest here can have.
    :raises ValueError: a disk is a volume without a connection.
    """
    files = iter(disks.files_of(guest.disks))
    own: list[Disk | VolumeDisk] = [
        _file(next(files), guest, directory, bases) if disk.volume is None else volume_disk(disk, disk.volume, host=host)
        for disk in guest.disks]
    if guest.config_drive:
        own.append(Disk(path=_config_drive(guest, directory), format="raw", serial="config-2", is_readonly=True))
    if guest.rescue is None:
        return tuple(own)
    device, bus = rescue.device_of(guest.rescue, arch=arch, host=host)
    path, backing = directory / RESCUE, bases / key_of(guest.rescue)
    if not rescue.is_stable(guest.rescue):
        return (Disk(path=path, format="qcow2", serial="rescue", backing=backing), *own)
    # The guest's own disks keep their names, and the firmware boots the last one first.
    return (*own, Disk(path=path, format="qcow2", serial="rescue", bus=bus, device=device, boots_first=True, backing=backing,
                       is_readonly=device == "cdrom"))


def _file(file: disks.DiskFile, guest: Guest, directory: Path, bases: Path) -> Disk:
    return Disk(
        path=directory / file.name, format=file.format, serial=file.serial, bus=file.disk.bus, device=file.disk.device, name=file.disk.name,
        backing=bases / key_of(guest.image) if file.disk.source is DiskSource.IMAGE else None)


def volume_disk(disk: GuestDisk, volume: VolumeConnection, *, host: str) -> VolumeDisk:
    """The volume as this host attaches it."""
    path = open_files.path_of(volume)
    if path is not None and open_files.is_replaced(volume):
        opened = {**volume.connection, "data": {**volume.data, "device_path": str(open_files.link(path))}}
        volume = dataclasses.replace(volume, connection=opened)
    return VolumeDisk(
        volume=volume, initiator=guest_disk.initiator_name(host), cache=disks.cache_of(path) if path else "none",
        name=disk.name, bus=disk.bus, device=disk.device)


def _config_drive(guest: Guest, directory: Path) -> Path:
    """The rescue's own while the guest is rescued, if there is one."""
    of_rescue = directory / RESCUE_CONFIG
    return of_rescue if guest.rescue is not None and of_rescue.exists() else directory / disks.CONFIG
