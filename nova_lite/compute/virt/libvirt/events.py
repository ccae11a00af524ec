# SPDX-License-Identifier: Apache-2.0
"""Translates libvirt's lifecycle events into power states, and lets operations wait for them instead of polling."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator

import libvirt

from nova_lite.compute.virt.driver import PowerListener
from nova_lite.lifecycle.servers import Power

_BY_EVENT = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: Power.RUNNING,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: Power.RUNNING,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: Power.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: Power.SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: Power.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: Power.SUSPENDED,
}
_BY_STOP_DETAIL = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: Power.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: Power.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: Power.SUSPENDED,
}
_BY_STATE = {
    libvirt.VIR_DOMAIN_NOSTATE: Power.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: Power.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: Power.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: Power.PAUSED,
    # shutting down, not off yet
    libvirt.VIR_DOMAIN_SHUTDOWN: Power.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: Power.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: Power.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Power.SUSPENDED,
}


def power_of_event(event: int, detail: int) -> Power | None:
    """The state that a lifecycle event led to; None: it says nothing about power."""
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED and detail in _BY_STOP_DETAIL:
        return _BY_STOP_DETAIL[detail]
    return _BY_EVENT.get(event)


def power_of_state(state: int, reason: int, *, has_saved_memory: bool) -> Power:
    """The power state that `virDomain.state()` means."""
    power = _BY_STATE.get(state, Power.NOSTATE)
    if power is not Power.SHUTDOWN:
        return power
    if has_saved_memory:
        return Power.SUSPENDED
    return Power.CRASHED if reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED else Power.SHUTDOWN


@dataclasses.dataclass(frozen=True)
class DomainEvent:
    """A guest changed to `power`, or (None) restarted by itself, or (`is_agent`) its agent connected, or (`is_device`) released a device, or (`is_job`) a copy
    of its disks went on.
    """

    power: Power | None
    is_agent: bool = False
    is_device: bool = False
    is_job: bool = False

    @property
    def is_off(self) -> bool:
        return self.power in (Power.SHUTDOWN, Power.CRASHED)

    @property
    def is_restart(self) -> bool:
        return self.power is None and not (self.is_agent or self.is_device or self.is_job)


class DomainEvents:
    """Passes events to the listener of power states and to the operations that wait for them; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, list[queue.SimpleQueue[DomainEvent]]] = {}
        self._on_power: PowerListener = lambda server_id, power: None
        self._on_io_error: Callable[[str], None] = lambda server_id: None

    def subscribe(self, on_power: PowerListener, *, on_io_error: Callable[[str], None] = lambda server_id: None) -> None:
        """Call `on_power` for each change of power from now on, and `on_io_error` for each guest that its storage stops."""
        self._on_power, self._on_io_error = on_power, on_io_error

    @contextlib.contextmanager
    def listen(self, server_id: str) -> Iterator[queue.SimpleQueue[DomainEvent]]:
        """All events of the guest from now on; entered before the action that causes them."""
        inbox: queue.SimpleQueue[DomainEvent] = queue.SimpleQueue()
        with self._lock:
            self._queues.setdefault(server_id, []).append(inbox)
        try:
            yield inbox
        finally:
            with self._lock:
                self._queues[server_id].remove(inbox)
                if not self._queues[server_id]:
                    del self._queues[server_id]

    def publish(self, server_id: str, power: Power) -> None:
        """The guest is in this power state now."""
        self._put(server_id, DomainEvent(power))
        self._on_power(server_id, power)

    def on_lifecycle(self, server_id: str, event: int, detail: int) -> None:
        """libvirt's callback VIR_DOMAIN_EVENT_ID_LIFECYCLE."""
        power = power_of_event(event, detail)
        if power is not None:
            self.publish(server_id, power)

    def on_reboot(self, server_id: str) -> None:
        """libvirt's callback VIR_DOMAIN_EVENT_ID_REBOOT."""
        self._put(server_id, DomainEvent(None))

    def on_agent_connected(self, server_id: str) -> None:
        """libvirt's callback VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, when the agent in the guest has connected."""
        self._put(server_id, DomainEvent(None, is_agent=True))

    def on_device_removed(self, server_id: str) -> None:
        """libvirt's callback VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: the guest released a device."""
        self._put(server_id, DomainEvent(None, is_device=True))

    def on_block_job(self, server_id: str) -> None:
        """libvirt's callback VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2: a copy is complete, or has ended."""
        self._put(server_id, DomainEvent(None, is_job=True))

    def on_io_error(self, server_id: str) -> None:
        """libvirt's callback VIR_DOMAIN_EVENT_ID_IO_ERROR, of a guest that was paused."""
        self._on_io_error(server_id)

    def _put(self, server_id: str, event: DomainEvent) -> None:
        with self._lock:
            for inbox in self._queues.get(server_id, ()):
                inbox.put(event)
