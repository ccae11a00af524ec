# SPDX-License-Identifier: Apache-2.0
"""Addresses of devices in a guest, as its metadata has them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nova_lite.values.instance_metadata import DevicePlace


def pci_address(address: ET.Element) -> str:
    """Of an address of type pci: 0000:00:03.0."""
    domain, bus, slot, function = (int(address.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def of_disks(domain: ET.Element) -> dict[str, DevicePlace]:
    """Of a domain's description: where each disk is that libvirt has given an address, by its serial number."""
    places = {}
    for disk in domain.iterfind("devices/disk"):
        serial, target, address = disk.findtext("serial"), disk.find("target"), disk.find("address")
        if serial and target is not None and address is not None:
            bus, place = _place(target.get("bus", ""), address)
            places[serial] = DevicePlace(bus, place, f"/dev/{target.get('dev', '')}")
    return places


def _place(bus: str, address: ET.Element) -> tuple[str, str]:
    """Bus and address by Nova's words: those of drives have controller, bus, target and unit."""
    if address.get("type") == "pci":
        return "pci", pci_address(address)
    if address.get("type") == "drive" and bus in ("scsi", "ide"):
        return bus, ":".join(address.get(part, "0") for part in ("controller", "bus", "target", "unit"))
    if address.get("type") == "usb":
        return "usb", f"{address.get('bus', '0')}:{address.get('port', '0')}"
    return "none", "none"
