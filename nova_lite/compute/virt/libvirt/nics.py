# SPDX-License-Identifier: Apache-2.0
"""NICs attached to domains and detached: in the running one at once, and in what libvirt keeps of it."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import libvirt
from oslo_log import log as logging

from nova_lite.compute.virt.libvirt.domains import Domains, devices_of
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.xml.domain import nic_xml
from nova_lite.rpc.compute import Guest, Nic

LOG = logging.getLogger(__name__)
_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
# A guest that is still booting loses the request: it is sent again this often (measured: a later one takes 0.4 s).
_REQUEST_EVERY_S = 5.0
_POLL_S = 0.1
# How QEMU's refusal of a second request comes while the guest has not answered the first (libvirt 9.0, QEMU 7.2).
_REFUSED = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_OPERATION_FAILED)
_GONE = (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_INVALID)


class LibvirtNics:
    """See nova_lite.compute.virt.driver.nics. `sleep` and `clock` are for tests."""

    def __init__(
        self, env: Environment, domains: Domains, *, sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._env, self._domains, self._sleep, self._clock = env, domains, sleep, clock

    def attach(self, guest: Guest, nic: Nic) -> None:
        def work(conn: Any) -> None:
            domain = self._domains.find(conn, guest.server_id)
            if domain is None:
                return
            for flag, exists in ((_LIVE, domain.isActive()), (_CONFIG, domain.isPersistent())):
                if exists and _device(domain, nic.mac, flag) is None:
                    domain.attachDeviceFlags(nic_xml(nic, guest), flag)

        self._domains.run("attach a NIC", work)

    def detach(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        deadline = self._clock() + timeout_s
        request_at, refusal = self._clock(), ""
        while self._domains.run("look for a NIC", lambda conn: self._is_live(conn, server_id, nic)):
            if self._clock() >= deadline:
                reason = f"the guest did not release it within {timeout_s:.0f} s" + (f": {refusal}" if refusal else "")
                raise self._env.failed("detach a NIC", reason)
            if self._clock() >= request_at:
                refusal = self._domains.run("detach a NIC", lambda conn: self._request(conn, server_id, nic))
                request_at = self._clock() + _REQUEST_EVERY_S
            self._sleep(_POLL_S)
        self._domains.run("detach a NIC", lambda conn: self._remove_from_config(conn, server_id, nic))

    def _is_live(self, conn: Any, server_id: str, nic: Nic) -> bool:
        """Whether the running domain has the NIC."""
        domain = self._domains.find(conn, server_id)
        return domain is not None and bool(domain.isActive()) and _device(domain, nic.mac, _LIVE) is not None

    def _request(self, conn: Any, server_id: str, nic: Nic) -> str:
        """Request the NIC from the guest; why QEMU refuses, as it does while an earlier request is open: it may still come."""
        domain = self._domains.find(conn, server_id)
        if domain is None or not domain.isActive():
            return ""
        try:
            domain.detachDeviceFlags(_device(domain, nic.mac, _LIVE) or nic_xml(nic), _LIVE)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _REFUSED:
                return str(error)
            if error.get_error_code() not in _GONE:
                raise
        return ""

    def _remove_from_config(self, conn: Any, server_id: str, nic: Nic) -> None:
        domain = self._domains.find(conn, server_id)
        if domain is None or not domain.isPersistent():
            return
        device = _device(domain, nic.mac, _CONFIG)
        if device is not None:
            domain.detachDeviceFlags(device, _CONFIG)


def pci_addresses(domain: ET.Element) -> dict[str, str]:
    """Of a domain's description: the PCI address of each NIC that libvirt has given one, by its MAC address."""
    addresses = {}
    for element in domain.iterfind("devices/interface"):
        mac, address = element.find("mac"), element.find("address[@type='pci']")
        if mac is not None and address is not None:
            bus_domain, bus, slot, function = (
                int(address.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function"))
            addresses[mac.get("address", "")] = f"{bus_domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
    return addresses


def _device(domain: Any, mac: str, flag: int) -> str | None:
    """libvirt's own description of the NIC with this MAC address; None: there is none."""
    try:
        devices = devices_of(domain, flags=libvirt.VIR_DOMAIN_XML_INACTIVE if flag == _CONFIG else 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    for element in devices.iterfind("devices/interface"):
        address = element.find("mac")
        if address is not None and address.get("address", "").lower() == mac.lower():
            return ET.tostring(element, encoding="unicode")
    return None
