# SPDX-License-Identifier: Apache-2.0
"""Machine type, BIOS or UEFI, secure boot, boot menu and SMBIOS data of a domain."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.values.hardware import Hardware


def write(
    domain: ET.Element, hardware: Hardware, *, server_id: str, arch: str, machine: str, is_ordered: bool
) -> None:
    """<sysinfo> and <os>; `machine` is the host's default type. `is_ordered`: the disks have a boot order."""
    # cloud-init recognises OpenStack by the product name.
    system = ET.SubElement(ET.SubElement(domain, "sysinfo", type="smbios"), "system")
    for name, content in (
        ("manufacturer", "nova_lite"), ("product", "OpenStack Compute"), ("serial", server_id),
        ("uuid", server_id), ("family", "Virtual Machine"),
    ):
        text(system, "entry", content, name=name)
    # The virt machine of ARM has no firmware of its own.
    is_uefi = hardware.firmware == "uefi" or arch != "x86_64"
    boot = ET.SubElement(domain, "os", {"firmware": "efi"} if is_uefi else {})
    text(boot, "type", "hvm", arch=arch, machine=machine_type(hardware, default=machine))
    if hardware.firmware == "uefi":
        _features(boot, is_secure=is_secure(hardware))
    if not is_ordered:
        ET.SubElement(boot, "boot", dev="hd")
    if hardware.boot_menu is not None:
        ET.SubElement(boot, "bootmenu", enable="yes" if hardware.boot_menu else "no")
    ET.SubElement(boot, "smbios", mode="sysinfo")


def machine_type(hardware: Hardware, *, default: str) -> str:
    """The image's, or the host's default; secure boot exists on q35 only."""
    if hardware.machine_type:
        return hardware.machine_type
    return "q35" if is_secure(hardware) and default == "pc" else default


def is_secure(hardware: Hardware) -> bool:
    """Whether the firmware is to check what it starts; `optional` means yes for guests with UEFI on q35."""
    if hardware.firmware != "uefi":
        return False
    return hardware.secure_boot == "required" or (
        hardware.secure_boot == "optional" and "q35" in (hardware.machine_type or "q35"))


def _features(boot: ET.Element, *, is_secure: bool) -> None:
    firmware = ET.SubElement(boot, "firmware")
    enabled = "yes" if is_secure else "no"
    ET.SubElement(firmware, "feature", enabled=enabled, name="enrolled-keys")
    ET.SubElement(firmware, "feature", enabled=enabled, name="secure-boot")
