# SPDX-License-Identifier: Apache-2.0
"""Takes devices out of domains: of a running one the guest itself must release them, which libvirt's events say."""

from __future__ import annotations

import contextlib
import queue
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import libvirt

from nova_lite.compute.virt.libvirt.domains import Domains, devices_of, is_stopped_by_storage, power_of
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.events import DomainEvent, DomainEvents
from nova_lite.lifecycle.servers import Power

# Of a domain's description: the device's element, or None.
Find = Callable[[ET.Element], "ET.Element | None"]

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
# A guest that is still booting loses the request: it is sent again this often (measured: a later one takes 0.4 s).
_REQUEST_EVERY_S = 5.0
# How QEMU's refusal of a second request comes while the guest has not answered the first (libvirt 9.0, QEMU 7.2).
_REFUSED = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_OPERATION_FAILED)
_GONE = (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_INVALID)


class Unplug:
    """For the parts of the driver whose devices come and go."""

    def __init__(self, env: Environment, domains: Domains, events: DomainEvents) -> None:
        self._env, self._domains, self._events = env, domains, events

    def detach(self, server_id: str, find: Find, *, what: str, timeout_s: float) -> None:
        """Take the device from the running domain and from what libvirt keeps of it; none, and no domain, is fine.

        :raises errors.HypervisorFailed: the running guest did not release it within `timeout_s`, or is paused.
        """
        action = f"detach {what}"
        deadline = time.monotonic() + timeout_s
        with self._events.listen(server_id) as inbox:
            while (refusal := self._domains.run(action, lambda conn: self._request(conn, server_id, find))) is not None:
                if time.monotonic() >= deadline:
                    reason = f"the guest did not release it within {timeout_s:.0f} s, as one does that is still in its firmware or has no system"
                    raise self._env.failed(action, reason + (f": {refusal}" if refusal else ""))
                _wait(inbox, until=min(time.monotonic() + _REQUEST_EVERY_S, deadline))
        self._domains.run(action, lambda conn: self._remove_from_config(conn, server_id, find))

    def _request(self, conn: Any, server_id: str, find: Find) -> str | None:
        """Request the device from the guest. None: it is gone; else why QEMU refuses, as it does while an earlier request is open."""
        domain = self._domains.find(conn, server_id)
        if domain is None or not domain.isActive() or (device := device_xml(domain, find, LIVE)) is None:
            return None
        if power_of(domain) is Power.PAUSED and not is_stopped_by_storage(domain):
            # It would come to the request once it runs again, after this has failed.
            raise self._env.failed("detach a device", "the guest is paused, and releases nothing until it runs")
        try:
            domain.detachDeviceFlags(device, LIVE)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _REFUSED:
                return str(error)
            if error.get_error_code() not in _GONE:
                raise
        return "" if device_xml(domain, find, LIVE) is not None else None

    def _remove_from_config(self, conn: Any, server_id: str, find: Find) -> None:
        domain = self._domains.find(conn, server_id)
        if domain is None or not domain.isPersistent():
            return
        device = device_xml(domain, find, CONFIG)
        if device is not None:
            domain.detachDeviceFlags(device, CONFIG)


def describe(domain: Any, flag: int) -> ET.Element:  # libvirt has no types
    """The domain as it runs, or (CONFIG) as libvirt keeps it; empty when it is gone."""
    try:
        return devices_of(domain, flags=libvirt.VIR_DOMAIN_XML_INACTIVE if flag == CONFIG else 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return ET.Element("domain")
        raise


def device_xml(domain: Any, find: Find, flag: int) -> str | None:  # libvirt has no types
    """libvirt's own description of the device; None: there is none."""
    element = find(describe(domain, flag))
    return None if element is None else ET.tostring(element, encoding="unicode")


def _wait(inbox: queue.SimpleQueue[DomainEvent], *, until: float) -> None:
    """Until a device has left the guest, or it has gone off; at most until then."""
    while (remaining := until - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            event = inbox.get(timeout=remaining)
            if event.is_device or event.is_off:
                return
