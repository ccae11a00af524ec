# SPDX-License-Identifier: Apache-2.0
"""Guests in memory: any number of hosts in one process, at once, for CI of clients and for work at scale."""

from __future__ import annotations

import dataclasses
import io
import json
import socket
import threading
from collections.abc import Collection
from typing import BinaryIO

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute import inventory
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning
from nova_lite.compute.virt.driver import Check, PowerSeen
from nova_lite.compute.virt.fake import consoles, hardware
from nova_lite.compute.virt.fake import diagnostics as fake_diagnostics
from nova_lite.compute.virt.fake.snapshots import empty_qcow2
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ConsoleType, Guest, GuestPlacement, Image, Nic
from nova_lite.rpc.conductor import Inventory
from nova_lite.rpc.diagnostics import GuestDiagnostics

_CPU_INFO = json.dumps({
    "arch": "x86_64", "model": "fake", "vendor": "nova_lite", "features": [],
    "topology": {"sockets": 1, "cores": 1, "threads": 1},
})


@dataclasses.dataclass
class _FakeGuest:
    guest: Guest
    power: Power
    console: list[str]
    snapshots: dict[str, bytes] = dataclasses.field(default_factory=dict)
    pins: CpuPinning = NO_PINS


class FakeDriver:
    """The same promises as a real driver, without a hypervisor; nothing outlives the process."""

    outlives_machine = False

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        count: int = conf.compute.fake_hosts
        names = [conf.host] if count == 1 else [f"{conf.host}-{number}" for number in range(1, count + 1)]
        self._inventory = tuple(_inventory(conf, name) for name in names)
        self._hosts = frozenset(names)
        self._cpus = hardware.cpus(conf)
        self._lock = threading.Lock()
        self._guests: dict[str, _FakeGuest] = {}
        self._on_power: PowerSeen = lambda server_id, power: None

    def open(self, on_power: PowerSeen) -> None:
        self._on_power = on_power

    def close(self) -> None:
        self._on_power = lambda server_id, power: None

    def check(self, action: str) -> None: ...

    def inventory(self) -> tuple[Inventory, ...]:
        return self._inventory

    def list_ours(self) -> dict[str, Power]:
        with self._lock:
            return {server_id: known.power for server_id, known in self._guests.items()}

    def power_state(self, server_id: str) -> Power:
        known = self._guests.get(server_id)
        return known.power if known else Power.NOSTATE

    def fetch_image(self, guest: Guest, *, check: Check) -> None:
        check()

    def cache_image(self, image: Image) -> None:
        """Nothing to fetch."""

    def make_disks(self, guest: Guest) -> None:
        if guest.host not in self._hosts:
            raise errors.HypervisorFailed(host=guest.host, action="make disks", reason="this worker has no such host")

    def keep_disks(self, server_id: str) -> None:
        """Nothing to set aside."""

    def resize_disks(self, guest: Guest) -> None:
        known = self._guests.get(guest.server_id)
        if known is not None:
            known.guest = guest

    def restore_disks(self, guest: Guest) -> None:
        self.resize_disks(guest)

    def discard_disks(self, server_id: str) -> None:
        """Nothing is set aside."""

    def guest(self, server_id: str) -> Guest:
        """The guest as it is, for tests to look at."""
        return self._guests[server_id].guest

    def make_config_drive(self, guest: Guest) -> None:
        """Nothing to make."""

    def define(self, guest: Guest) -> None:
        with self._lock:
            known = self._guests.setdefault(guest.server_id, _FakeGuest(guest, Power.SHUTDOWN, []))
            if known.power is Power.SHUTDOWN:
                try:
                    known.pins = hardware.pin(guest, known.pins, self._pins_beside(guest), among=self._cpus)
                except errors.HypervisorFailed:
                    if known.guest is guest:
                        del self._guests[guest.server_id]
                    raise
                known.guest = guest

    def _pins_beside(self, guest: Guest) -> list[CpuPinning]:
        """Of the other guests of its host."""
        return [other.pins for server_id, other in self._guests.items()
                if server_id != guest.server_id and other.guest.host == guest.host]

    def start(self, guest: Guest) -> None:
        self.define(guest)
        known = self._known(guest.server_id, "start")
        if known.power not in (Power.RUNNING, Power.PAUSED):
            if known.power is not Power.SUSPENDED:
                _boot(known)
            self._set(known, Power.RUNNING)

    def stop(self, server_id: str, *, timeout_s: float) -> None:
        known = self._known(server_id, "stop")
        if known.power not in (Power.SHUTDOWN, Power.SUSPENDED):
            self._set(known, Power.SHUTDOWN)

    def reboot_soft(self, server_id: str, *, timeout_s: float) -> bool:
        known = self._known(server_id, "reboot")
        if known.power is not Power.RUNNING:
            return False
        _boot(known)
        return True

    def reboot_hard(self, guest: Guest) -> None:
        self.define(guest)
        known = self._known(guest.server_id, "reboot")
        known.guest = guest
        _boot(known)
        self._set(known, Power.RUNNING)

    def pause(self, server_id: str) -> None:
        self._move(server_id, "pause", before=Power.RUNNING, after=Power.PAUSED)

    def unpause(self, server_id: str) -> None:
        self._move(server_id, "unpause", before=Power.PAUSED, after=Power.RUNNING)

    def suspend(self, server_id: str) -> None:
        known = self._known(server_id, "suspend")
        if known.power is Power.PAUSED:
            self._set(known, Power.RUNNING)
        self._move(server_id, "suspend", before=Power.RUNNING, after=Power.SUSPENDED)

    def resume(self, guest: Guest) -> None:
        self.start(guest)

    def attach_interface(self, guest: Guest, nic: Nic) -> None:
        self._set_nics(guest.server_id, nic, is_in=True)

    def detach_interface(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        self._set_nics(server_id, nic, is_in=False)

    def nics(self, server_id: str) -> tuple[Nic, ...]:
        """What the guest has, for tests to look at."""
        return self._guests[server_id].guest.nics

    def _set_nics(self, server_id: str, nic: Nic, *, is_in: bool) -> None:
        with self._lock:
            known = self._guests.get(server_id)
            if known is not None:
                others = tuple(one for one in known.guest.nics if one.port_id != nic.port_id)
                known.guest = dataclasses.replace(known.guest, nics=(*others, nic) if is_in else others)

    def connect_console(self, server_id: str, type: ConsoleType) -> socket.socket:  # noqa: A002 - the contract's
        return consoles.connect(type, self._known(server_id, "open a console").guest.hostname)

    def clear_disks(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        """Nothing to remove."""

    def make_rescue_disk(self, guest: Guest) -> None:
        """Nothing to make."""

    def remove_rescue_disk(self, server_id: str) -> None:
        """Nothing to remove."""

    def take_snapshot(self, guest: Guest, snapshot_id: str, *, check: Check) -> None:
        check()
        self._known(guest.server_id, "make a snapshot").snapshots[snapshot_id] = empty_qcow2(max(guest.disk_gb, 1) << 30)

    def open_snapshot(self, server_id: str, snapshot_id: str) -> BinaryIO:
        found = self._known(server_id, "read a snapshot").snapshots.get(snapshot_id)
        if found is None:
            host = self._guests[server_id].guest.host
            raise errors.HypervisorFailed(host=host, action="read a snapshot", reason="there is none")
        return io.BytesIO(found)

    def snapshots(self, server_id: str) -> list[str]:
        """The copies that are kept, for tests to look at."""
        return sorted(self._guests[server_id].snapshots)

    def remove_snapshot(self, server_id: str, snapshot_id: str) -> None:
        known = self._guests.get(server_id)
        if known is not None:
            known.snapshots.pop(snapshot_id, None)

    def console_output(self, server_id: str) -> str:
        return "".join(f"{line}\n" for line in self._known(server_id, "read the console").console)

    def diagnostics(self, guest: Guest) -> GuestDiagnostics:
        self._known(guest.server_id, "read diagnostics")
        return fake_diagnostics.of(guest)

    def placement(self, guest: Guest) -> GuestPlacement:
        return hardware.placement(guest, self._known(guest.server_id, "read a guest's place").pins)

    def trigger_crash_dump(self, server_id: str) -> None:
        known = self._known(server_id, "send an NMI to the guest")
        if known.power not in (Power.RUNNING, Power.PAUSED):
            reason = "the guest is not running"
            raise errors.HypervisorFailed(host=known.guest.host, action="send an NMI to the guest", reason=reason)
        known.console.append("Uhhuh. NMI received for unknown reason 21 on CPU 0.")

    def set_password(self, server_id: str, *, user: str, password: str) -> None:
        self._known(server_id, "set a password").console.append(f"password of {user} changed by the guest agent")

    def destroy(self, server_id: str) -> None:
        with self._lock:
            self._guests.pop(server_id, None)

    def remove_disks(self, server_id: str) -> None:
        """Nothing to remove."""

    def clean(self, kept: Collection[Guest]) -> None:
        """Nothing to remove."""

    def power_off_from_inside(self, server_id: str) -> None:
        """What a user inside the guest can do: power off unasked, so that the worker hears of it."""
        self._set(self._known(server_id, "power off"), Power.SHUTDOWN)

    def _known(self, server_id: str, action: str) -> _FakeGuest:
        known = self._guests.get(server_id)
        if known is None:
            host = self._inventory[0].host
            raise errors.HypervisorFailed(host=host, action=action, reason="the guest is not defined")
        return known

    def _move(self, server_id: str, action: str, *, before: Power, after: Power) -> None:
        known = self._known(server_id, action)
        if known.power is after:
            return
        if known.power is not before:
            raise errors.HypervisorFailed(
                host=known.guest.host, action=action, reason=f"the guest is {known.power.name.lower()}"
            )
        self._set(known, after)

    def _set(self, known: _FakeGuest, power: Power) -> None:
        known.power = power
        self._on_power(known.guest.server_id, power)


def _boot(known: _FakeGuest) -> None:
    """A console as a small Linux guest would leave it; each boot starts a new log."""
    name = known.guest.hostname
    known.console = [
        "Linux version 6.1.0 (nova_lite fake guest)",
        f"{name}: instance {known.guest.server_id} on host {known.guest.host}",
        f"{name} login:",
    ]


def _inventory(conf: cfg.ConfigOpts, host: str) -> Inventory:
    cpus, offers = hardware.cpus(conf), hardware.offers(conf)
    return Inventory(
        host=host, vcpus=len(cpus.shared), pcpus=len(cpus.dedicated), offers=offers, huge_mb=sum(offers.pages_mb.values()), ram_mb=conf.compute.fake_ram_mb,
        disk_gb=conf.compute.fake_disk_gb, architecture="x86_64", hypervisor_type="fake", hypervisor_version=1000000,
        hypervisor_hostname=host, virt_type="fake", virt_reason="[compute] driver is fake: guests exist in memory only",
        cpu_info=_CPU_INFO, host_ip=conf.my_ip, tunnel_ip=conf.network.tunnel_ip or None,
        reserved_ram_mb=conf.compute.reserved_host_memory_mb,
        reserved_disk_gb=-(-conf.compute.reserved_host_disk_mb // 1024),
        disk_free_gb=conf.compute.fake_disk_gb, uptime=inventory.uptime(),
    )
