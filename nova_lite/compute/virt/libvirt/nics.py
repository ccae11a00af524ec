# SPDX-License-Identifier: Apache-2.0
"""NICs attached to domains and detached: in the running one at once, and in what libvirt keeps of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from nova_lite.compute.virt.libvirt.domains import Domains
from nova_lite.compute.virt.libvirt.unplug import CONFIG, LIVE, Find, Unplug, device_xml
from nova_lite.compute.virt.libvirt.xml.addresses import pci_address
from nova_lite.compute.virt.libvirt.xml.domain import nic_xml
from nova_lite.rpc.compute import Guest, Nic


class LibvirtNics:
    """See nova_lite.compute.virt.driver.nics."""

    def __init__(self, domains: Domains, unplug: Unplug) -> None:
        self._domains, self._unplug = domains, unplug

    def attach(self, guest: Guest, nic: Nic) -> None:
        def work(conn: Any) -> None:
            domain = self._domains.find(conn, guest.server_id)
            if domain is None:
                return
            for flag, exists in ((LIVE, domain.isActive()), (CONFIG, domain.isPersistent())):
                if exists and device_xml(domain, _with_mac(nic.mac), flag) is None:
                    domain.attachDeviceFlags(nic_xml(nic, guest), flag)

        self._domains.run("attach a NIC", work)

    def detach(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        self._unplug.detach(server_id, _with_mac(nic.mac), what="a NIC", timeout_s=timeout_s)


def pci_addresses(domain: ET.Element) -> dict[str, str]:
    """Of a domain's description: the PCI address of each NIC that libvirt has given one, by its MAC address."""
    addresses = {}
    for element in domain.iterfind("devices/interface"):
        mac, address = element.find("mac"), element.find("address[@type='pci']")
        if mac is not None and address is not None:
            addresses[mac.get("address", "")] = pci_address(address)
    return addresses


def _with_mac(mac: str) -> Find:
    def find(domain: ET.Element) -> ET.Element | None:
        for element in domain.iterfind("devices/interface"):
            address = element.find("mac")
            if address is not None and address.get("address", "").lower() == mac.lower():
                return element
        return None

    return find
