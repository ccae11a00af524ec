# SPDX-License-Identifier: Apache-2.0
"""NICs put into guests and taken out again: at once in those that run, and in what libvirt keeps of them."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import libvirt
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.virt.libvirt.connection import Connection, go_on
from nova_lite.compute.virt.libvirt.xml.domain import nic_xml
from nova_lite.rpc.compute import Guest, Nic

LOG = logging.getLogger(__name__)
_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
# A guest that is still booting loses the question: it is put again this often (measured: a later one takes 0.4 s).
_ASK_AGAIN_S = 5.0
_LOOK_S = 0.1
# What QEMU says of a question that the guest has not answered yet.
_ASKED_BEFORE = "already in the process of unplug"


def attach(conn: Any, guest: Guest, nic: Nic) -> None:
    """Have the NIC in the guest, running or not; one that libvirt does not know gets it when it is defined."""
    domain = _find(conn, guest.server_id)
    if domain is None:
        return
    for flag in _parts(domain):
        if not _has(domain, nic.mac, flag):
            domain.attachDeviceFlags(nic_xml(nic, guest), flag)


def detach(
    connection: Connection, server_id: str, nic: Nic, *, host: str, timeout_s: float,
    sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take the NIC out of the guest, and wait until the guest has let go of it.

    :raises errors.HypervisorFailed: it has not within `timeout_s`.
    """
    deadline = clock() + timeout_s
    ask_at = clock()
    while connection.run("look for a NIC", lambda conn: _is_in(conn, server_id, nic.mac, _LIVE)):
        if clock() >= deadline:
            raise errors.HypervisorFailed(
                host=host, action="detach a NIC", reason=f"the guest did not let go of it within {timeout_s:.0f} s")
        if clock() >= ask_at:
            connection.run("detach a NIC", lambda conn: _ask(conn, server_id, nic))
            ask_at = clock() + _ASK_AGAIN_S
        sleep(_LOOK_S)
    connection.run("detach a NIC", lambda conn: _forget(conn, server_id, nic))


def _ask(conn: Any, server_id: str, nic: Nic) -> None:
    domain = _find(conn, server_id)
    if domain is None or not domain.isActive():
        return
    try:
        domain.detachDeviceFlags(_device(domain, nic.mac, _LIVE) or nic_xml(nic), _LIVE)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() in (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_INVALID)
        if not gone and _ASKED_BEFORE not in str(error):
            raise


def _forget(conn: Any, server_id: str, nic: Nic) -> None:
    domain = _find(conn, server_id)
    if domain is not None and domain.isPersistent() and (known := _device(domain, nic.mac, _CONFIG)) is not None:
        domain.detachDeviceFlags(known, _CONFIG)


def _is_in(conn: Any, server_id: str, mac: str, flag: int) -> bool:
    domain = _find(conn, server_id)
    return domain is not None and (flag != _LIVE or bool(domain.isActive())) and _has(domain, mac, flag)


def _parts(domain: Any) -> list[int]:
    """What there is of the domain: the running one, and the one that is kept."""
    return [flag for flag, is_there in ((_LIVE, domain.isActive()), (_CONFIG, domain.isPersistent())) if is_there]


def _has(domain: Any, mac: str, flag: int) -> bool:
    return _device(domain, mac, flag) is not None


def _device(domain: Any, mac: str, flag: int) -> str | None:
    """libvirt's own description of the NIC with this MAC address; None: there is none."""
    try:
        text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if flag == _CONFIG else 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    for element in ET.fromstring(text).iterfind("devices/interface"):
        address = element.find("mac")
        if address is not None and address.get("address", "").lower() == mac.lower():
            return ET.tostring(element, encoding="unicode")
    return None


def _find(conn: Any, server_id: str) -> Any:
    try:
        return conn.lookupByUUIDString(server_id)
    except libvirt.libvirtError:
        return None
    finally:
        go_on()


def places(text: str) -> dict[str, str]:
    """Of a domain's XML: the PCI address of each NIC that libvirt has given one, by its MAC address."""
    found = {}
    for element in ET.fromstring(text).iterfind("devices/interface"):
        mac, address = element.find("mac"), element.find("address[@type='pci']")
        if mac is not None and address is not None:
            domain, bus, slot, function = (
                int(address.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function"))
            found[mac.get("address", "")] = f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
    return found
