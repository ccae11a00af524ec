# SPDX-License-Identifier: Apache-2.0
"""Where a rescue disk goes, as its image's properties say.

https://docs.openstack.org/nova/latest/user/rescue.html: with hw_rescue_device or hw_rescue_bus the rescue is stable,
that is, the guest's own disks keep their place and the rescue disk comes last.
"""

from __future__ import annotations

from nova_lite import errors
from nova_lite.rpc.compute import Image

# Buses of each value of hw_rescue_device.
_BUSES = {"disk": ("virtio", "scsi", "sata", "usb"), "cdrom": ("sata", "scsi", "ide", "usb")}


def device_of(image: Image, *, arch: str, host: str) -> tuple[str, str]:
    """Device (disk or cdrom) and bus of the rescue disk.

    :raises errors.ImageFailed: the image requires what no guest can have.
    """
    device = image.properties.get("hw_rescue_device") or "disk"
    default = {"disk": "virtio", "cdrom": "sata" if arch == "x86_64" else "scsi"}.get(device, "")
    bus = image.properties.get("hw_rescue_bus") or default
    if bus not in _BUSES.get(device, ()):
        raise errors.ImageFailed(
            host=host, id=image.id, reason=f"a rescue from device {device} on bus {bus or '(none)'} is not possible "
            "here: hw_rescue_device may be disk (virtio, scsi, sata, usb) or cdrom (ide, scsi, sata, usb)")
    return device, bus


def is_stable(image: Image) -> bool:
    """Whether the rescue disk comes last."""
    return bool(image.properties.get("hw_rescue_device") or image.properties.get("hw_rescue_bus"))
