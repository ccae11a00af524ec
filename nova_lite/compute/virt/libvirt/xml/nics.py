# SPDX-License-Identifier: Apache-2.0
"""NICs of a guest in its description: model, queues and limits."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nova_lite.rpc.compute import Nic
from nova_lite.values.hardware import Hardware

# A tap device of Linux takes 256 queues; more than eight help nobody's guest and cost a thread each.
_MOST_QUEUES = 8


def write(devices: ET.Element, nic: Nic, hardware: Hardware, *, vcpus: int) -> None:
    """One NIC."""
    element = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "source", bridge=nic.bridge)
    ET.SubElement(element, "model", type=hardware.vif_model or "virtio")
    if hardware.vif_multiqueue and vcpus > 1 and hardware.vif_model in (None, "virtio"):
        ET.SubElement(element, "driver", queues=str(min(vcpus, _MOST_QUEUES)))
    ET.SubElement(element, "target", dev=nic.tap)
    ET.SubElement(element, "mtu", size=str(nic.mtu))
    _limit(element, hardware)


def _limit(element: ET.Element, hardware: Hardware) -> None:
    """KiB/s, and KiB of a burst: libvirt's units are Nova's."""
    ways = [way for way in ("inbound", "outbound") if f"vif_{way}_average" in hardware.quota]
    if not ways:
        return
    bandwidth = ET.SubElement(element, "bandwidth")
    for way in ways:
        ET.SubElement(bandwidth, way, {
            what: str(hardware.quota[f"vif_{way}_{what}"]) for what in ("average", "peak", "burst")
            if f"vif_{way}_{what}" in hardware.quota})
