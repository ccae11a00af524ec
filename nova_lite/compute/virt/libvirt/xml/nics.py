# SPDX-License-Identifier: Apache-2.0
"""NICs of a domain: model, queues and limits."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nova_lite.rpc.compute import Nic
from nova_lite.values.hardware import Hardware

# Linux taps take 256 queues; more than eight do not help a guest, and each costs a thread.
_MAX_QUEUES = 8


def write(devices: ET.Element, nic: Nic, hardware: Hardware, *, vcpus: int) -> None:
    """One NIC."""
    element = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "source", bridge=nic.bridge)
    ET.SubElement(element, "model", type=hardware.vif_model or "virtio")
    if hardware.vif_multiqueue and vcpus > 1 and hardware.vif_model in (None, "virtio"):
        ET.SubElement(element, "driver", queues=str(min(vcpus, _MAX_QUEUES)))
    ET.SubElement(element, "target", dev=nic.tap)
    ET.SubElement(element, "mtu", size=str(nic.mtu))
    _limit(element, hardware)


def _limit(element: ET.Element, hardware: Hardware) -> None:
    """KiB/s, and KiB of a burst: libvirt's units are those of Nova's extra specs."""
    directions = [direction for direction in ("inbound", "outbound") if f"vif_{direction}_average" in hardware.quota]
    if not directions:
        return
    bandwidth = ET.SubElement(element, "bandwidth")
    for direction in directions:
        ET.SubElement(bandwidth, direction, {
            name: str(hardware.quota[f"vif_{direction}_{name}"]) for name in ("average", "peak", "burst")
            if f"vif_{direction}_{name}" in hardware.quota})
