# SPDX-License-Identifier: Apache-2.0
"""Power of domains: buttons that a guest may ignore, and what is done without it."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any

import libvirt
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.virt.libvirt.domains import Domains, power_of, power_off
from nova_lite.compute.virt.libvirt.events import DomainEvent, DomainEvents
from nova_lite.compute.virt.libvirt.storage.io_errors import IoErrors
from nova_lite.compute.virt.libvirt.storage.volume_check import VolumeCheck
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest

LOG = logging.getLogger(__name__)
# A guest that is still booting ignores the power button; it is pressed again this often.
_PRESS_EVERY_S = 5.0
_ENDING_S = 2.0
# Saving 64 GiB of memory to a slow disk.
_SAVE_S = 600.0


class LibvirtPower:
    """See nova_lite.compute.virt.driver.power."""

    def __init__(self, domains: Domains, events: DomainEvents, io_errors: IoErrors, volumes: VolumeCheck) -> None:
        self._domains, self._events, self._io_errors, self._volumes = domains, events, io_errors, volumes

    def state(self, server_id: str) -> Power:
        return self._domains.run("read a guest's state", lambda conn: power_of(self._domains.find(conn, server_id)))

    def start(self, guest: Guest) -> None:
        def work(conn: Any) -> None:
            domain = self._domains.find(conn, guest.server_id)
            if domain is None or not domain.isActive():
                self._domains.define(conn, guest).create()

        if self.state(guest.server_id) not in (Power.RUNNING, Power.PAUSED):
            self._volumes.guest(guest)
        self._domains.run("start the guest", work, timeout_s=_SAVE_S)

    def stop(self, server_id: str, *, timeout_s: float) -> None:
        def press(domain: Any) -> None:
            domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)

        if self._press_until(server_id, press, "stop", timeout_s) is None:
            self._domains.run("stop the guest", lambda conn: power_off(self._domains.find(conn, server_id)))

    def reboot_soft(self, server_id: str, *, timeout_s: float) -> bool:
        def press(domain: Any) -> None:
            domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)

        event = self._press_until(server_id, press, "reboot", timeout_s)
        return event is not None and event.is_restart

    def reboot_hard(self, guest: Guest) -> None:
        def work(conn: Any) -> None:
            domain = self._domains.find(conn, guest.server_id)
            power_off(domain)
            if domain is not None and domain.hasManagedSaveImage():
                domain.managedSaveRemove()
            self._domains.define(conn, guest).create()

        self._volumes.guest(guest)
        self._domains.run("reboot the guest", work)

    def pause(self, server_id: str) -> None:
        self._io_errors.forget(server_id)
        self._change(server_id, "pause the guest", Power.PAUSED, lambda domain: domain.suspend())

    def unpause(self, server_id: str) -> None:
        self._change(server_id, "unpause the guest", Power.RUNNING, lambda domain: domain.resume())

    def suspend(self, server_id: str) -> None:
        # A guest that was paused is to run when it is resumed.
        self._change(server_id, "suspend the guest", Power.SUSPENDED,
                     lambda domain: domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING), timeout_s=_SAVE_S)

    def resume(self, guest: Guest) -> None:
        self.start(guest)

    def trigger_crash_dump(self, server_id: str) -> None:
        self._domains.run("send an NMI to the guest", lambda conn: self._domains.get(conn, server_id).injectNMI())

    def _change(
        self, server_id: str, action: str, target: Power, change: Callable[[Any], object], *, timeout_s: float | None = None
    ) -> None:
        """Call `change` unless the domain is in the target state already."""
        def work(conn: Any) -> None:
            domain = self._domains.get(conn, server_id)
            if power_of(domain) is not target:
                change(domain)

        self._domains.run(action, work, timeout_s=timeout_s)

    def _press_until(
        self, server_id: str, press: Callable[[Any], None], action: str, timeout_s: float
    ) -> DomainEvent | None:
        """Press a button until the guest goes off or restarts; None: it does not in time, or does not run."""
        def press_if_running(conn: Any) -> bool:
            domain = self._domains.get(conn, server_id)
            is_running = power_of(domain) is Power.RUNNING and timeout_s > 0
            if is_running:
                press(domain)
            return is_running

        deadline = time.monotonic() + timeout_s
        with self._events.listen(server_id) as inbox:
            while True:
                try:
                    if not self._domains.run(f"{action} the guest", press_if_running):
                        return None
                except errors.HypervisorFailed:
                    # QEMU may be ending from the press before: its monitor is gone a moment before the domain is off.
                    event = _change(inbox, until=time.monotonic() + _ENDING_S)
                    if event is None:
                        raise
                    return event
                again = min(time.monotonic() + _PRESS_EVERY_S, deadline)
                event = _change(inbox, until=again)
                if event is not None:
                    return event
                if again >= deadline:
                    LOG.info("server %s: did not %s within %.0f s of the power button", server_id, action, timeout_s)
                    return None


def _change(inbox: queue.SimpleQueue[DomainEvent], *, until: float) -> DomainEvent | None:
    """The guest's going off or restart; None: there is none by then."""
    while (remaining := until - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            event = inbox.get(timeout=remaining)
            if event.is_off or event.is_restart:
                return event
    return None
