# SPDX-License-Identifier: Apache-2.0
"""Disks that a guest boots from instead of its own, for good or for a rescue; and in which order it has all of them."""

from __future__ import annotations

from pathlib import Path

from nova_lite import errors
from nova_lite.compute.images import ImageCache
from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.compute.virt.libvirt.xml.domain import Disk
from nova_lite.rpc.compute import Guest, Image
from nova_lite.worker import commands

RESCUE, RESCUE_CONFIG = "disk.rescue", "disk.config.rescue"
# Device and bus that a rescue image may ask for (hw_rescue_device, hw_rescue_bus), and what each alone implies.
_ALLOWED = {"disk": ("virtio", "scsi", "sata", "usb"), "cdrom": ("sata", "scsi", "ide", "usb")}


class ReplacedDisks:
    """The part of the driver for rebuild and rescue; see the Protocol for what each method promises."""

    _instances: Path
    _host: str
    _images: ImageCache
    _arch: str

    def clear_disks(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        where = disks.directory(self._instances, server_id)
        for name in (disks.ROOT, disks.CONFIG, disks.SWAP, RESCUE, RESCUE_CONFIG, *(() if keeps_ephemeral else (disks.EPHEMERAL,))):
            _remove(where / name, host=self._host)

    def make_rescue_disk(self, guest: Guest) -> None:
        assert guest.rescue is not None
        self._rescue_place(guest.rescue)
        base = self._images.find(guest.rescue)
        if base is None:
            raise errors.ImageFailed(host=self._host, id=guest.rescue.id, reason="its base vanished from the cache")
        where = disks.make_directory(self._instances, guest.server_id)
        try:
            disks.make_root(base, where / RESCUE, disk_gb=0)
        except (commands.CommandFailed, OSError) as error:
            raise errors.HypervisorFailed(host=self._host, action="make the rescue disk", reason=error) from error

    def remove_rescue_disk(self, server_id: str) -> None:
        for name in (RESCUE, RESCUE_CONFIG):
            _remove(disks.directory(self._instances, server_id) / name, host=self._host)

    def disks_of(self, guest: Guest) -> tuple[Disk, ...]:
        """The guest's disks, in the order in which it sees them."""
        where = disks.directory(self._instances, guest.server_id)
        found = [Disk(path=where / disks.ROOT, format="qcow2", serial="root")]
        if guest.ephemeral_gb:
            found.append(Disk(path=where / disks.EPHEMERAL, format="raw", serial="ephemeral0"))
        if guest.swap_mb:
            found.append(Disk(path=where / disks.SWAP, format="raw", serial="swap0"))
        if guest.config_drive:
            found.append(Disk(path=self._config_of(guest), format="raw", serial="config-2", is_readonly=True))
        if guest.rescue is None:
            return tuple(found)
        rescue = where / RESCUE
        device, bus = self._rescue_place(guest.rescue)
        if not _is_stable(guest.rescue):
            return (Disk(path=rescue, format="qcow2", serial="rescue"), *found)
        # The guest's own disks keep their names; the firmware is told which to boot.
        return (*found, Disk(path=rescue, format="qcow2", serial="rescue", bus=bus, device=device, boots_first=True,
                             is_readonly=device == "cdrom"))

    def _config_of(self, guest: Guest) -> Path:
        """Its config drive; that of the rescue, if there is one of its own."""
        where = disks.directory(self._instances, guest.server_id)
        of_rescue = where / RESCUE_CONFIG
        return of_rescue if guest.rescue is not None and of_rescue.exists() else where / disks.CONFIG

    def _rescue_place(self, image: Image) -> tuple[str, str]:
        """Device and bus of a rescue disk. :raises errors.ImageFailed: its image asks for what is not there."""
        device = image.properties.get("hw_rescue_device") or "disk"
        usual = {"disk": "virtio", "cdrom": "sata" if self._arch == "x86_64" else "scsi"}.get(device, "")
        bus = image.properties.get("hw_rescue_bus") or usual
        if bus not in _ALLOWED.get(device, ()):
            raise errors.ImageFailed(
                host=self._host, id=image.id, reason=f"a rescue from device {device} on bus {bus or '(none)'} is not "
                "possible here: hw_rescue_device may be disk (virtio, scsi, sata, usb) or cdrom (ide, scsi, sata, usb)")
        return device, bus


def _is_stable(image: Image) -> bool:
    return bool(image.properties.get("hw_rescue_device") or image.properties.get("hw_rescue_bus"))


def _remove(path: Path, *, host: str) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise errors.HypervisorFailed(host=host, action="remove a disk", reason=error) from error
