# SPDX-License-Identifier: Apache-2.0
"""Runs guests as libvirt domains on this machine."""

from __future__ import annotations

import contextlib
import platform
import queue
import shutil
import socket
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import libvirt
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute import inventory
from nova_lite.compute.images import ImageCache
from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.driver import Check, PowerSeen
from nova_lite.compute.virt.libvirt import (
    agent,
    capability_probe,
    consoles,
    cpu_pinning,
    diagnostics,
    domain_builder,
    host_capabilities,
    interfaces,
)
from nova_lite.compute.virt.libvirt.connection import Connection, go_on
from nova_lite.compute.virt.libvirt.domain_builder import DomainBuilder
from nova_lite.compute.virt.libvirt.events import DomainEvent, Waiters, power_of_event, power_of_state
from nova_lite.compute.virt.libvirt.storage import config_drive, disks, vtpm
from nova_lite.compute.virt.libvirt.storage.replaced_disks import RESCUE_CONFIG, ReplacedDisks
from nova_lite.compute.virt.libvirt.storage.resized_disks import ResizedDisks
from nova_lite.compute.virt.libvirt.storage.snapshots import Snapshots
from nova_lite.compute.virt.libvirt.xml.domain import NAMESPACE, owner_of
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ConsoleType, Guest, GuestPlacement, Image, Nic
from nova_lite.rpc.conductor import Inventory
from nova_lite.rpc.diagnostics import GuestDiagnostics
from nova_lite.values.instance_metadata import names_devices, with_places
from nova_lite.worker import commands

LOG = logging.getLogger(__name__)
# A guest that is still booting does not hear the power button; it is pressed again this often.
_PRESS_EVERY_S = 5.0
# Saving 64 GiB of memory to a slow disk.
_SAVE_S = 600.0
_DESTROY_TRIES = 3
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


class LibvirtDriver(ReplacedDisks, DomainBuilder, ResizedDisks, Snapshots):
    """The host's guests through libvirt; see the Protocol for what each method promises."""

    outlives_machine = True

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._host: str = conf.host
        self._state = Path(conf.state_path) / "compute"
        self._instances = Path(conf.compute.instances_path or Path(conf.state_path) / "instances").absolute()
        self._images = ImageCache(
            self._instances / "_base", host=self._host, idle_timeout_s=conf.compute.image_timeout,
            convert_timeout_s=conf.compute.image_convert_timeout,
        )
        self._waiters = Waiters()
        DomainBuilder.__init__(self)
        self._on_power: PowerSeen = lambda server_id, power: None
        self._libvirt = Connection(
            conf.libvirt.connection_uri, host=self._host, timeout_s=conf.libvirt.call_timeout,
            on_event=self._event, on_reboot=self._rebooted, on_agent=self._agent_came, on_connected=self._reread,
        )
        arch = platform.machine()
        self._emulator = shutil.which(f"qemu-system-{arch}") or f"/usr/bin/qemu-system-{arch}"
        self._virt = capability_probe.Virt(capability_probe.TCG, "not probed yet")
        self._arch = arch
        self._disk_cache = "none"

    def open(self, on_power: PowerSeen) -> None:
        self._on_power = on_power
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # QEMU may run as another user, so it may pass through; nobody but root can list.
        self._instances.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._virt = capability_probe.choose(
            self._conf.libvirt.virt_type, emulator=self._emulator, cache=self._state / "virt.json"
        )
        self._disk_cache = disks.cache_mode(self._instances)
        self._libvirt.open()

    def close(self) -> None:
        self._libvirt.close()

    def check(self, action: str) -> None:
        self._libvirt.check(action)

    def inventory(self) -> tuple[Inventory, ...]:
        version, capabilities = self._libvirt.run(
            "describe the host", lambda conn: (int(conn.getVersion()), str(conn.getCapabilities()))
        )
        total, free = inventory.disk_gb(self._instances)
        with self._named("describe the host"):
            offers = host_capabilities.read(self._conf, arch=self._arch, is_kvm=self._virt.type == capability_probe.KVM)
            shared, dedicated = len(cpu_sets.shared(self._conf)), len(cpu_sets.dedicated(self._conf))
        compute = self._conf.compute
        return (Inventory(
            host=self._host, vcpus=shared, pcpus=dedicated, offers=offers, huge_mb=sum(offers.pages_mb.values()), ram_mb=inventory.ram_mb(), disk_gb=total,
            architecture=self._arch, hypervisor_type="QEMU", hypervisor_version=version,
            hypervisor_hostname=self._host, virt_type=self._virt.type, virt_reason=self._virt.reason,
            cpu_info=domain_builder.cpu_info(capabilities), host_ip=self._conf.my_ip,
            tunnel_ip=self._conf.network.tunnel_ip or None, reserved_ram_mb=compute.reserved_host_memory_mb,
            reserved_disk_gb=-(-compute.reserved_host_disk_mb // 1024), disk_free_gb=free, uptime=inventory.uptime(),
        ),)

    def list_ours(self) -> dict[str, Power]:
        return self._libvirt.run("list guests", self._list)

    def power_state(self, server_id: str) -> Power:
        return self._libvirt.run("read a guest's state", lambda conn: _power(_find(conn, server_id)))

    def fetch_image(self, guest: Guest, *, check: Check) -> None:
        self.refuse_what_is_missing(guest)
        self._images.fetch(guest.image, room=guest.disk_gb << 30 or None, check=check)

    def cache_image(self, image: Image) -> None:
        self._images.fetch(image, room=None, check=lambda: None)

    def make_disks(self, guest: Guest) -> None:
        base = self._images.find(guest.image)
        if base is None:
            raise errors.ImageFailed(host=self._host, id=guest.image.id, reason="its base vanished from the cache")
        where = disks.make_directory(self._instances, guest.server_id)
        with self._named("make disks"):
            disks.make_root(base, where / disks.ROOT, disk_gb=guest.disk_gb)
            if guest.ephemeral_gb:
                disks.make_ephemeral(where / disks.EPHEMERAL, size_gb=guest.ephemeral_gb)
            if guest.swap_mb:
                disks.make_swap(where / disks.SWAP, size_mb=guest.swap_mb)

    def make_config_drive(self, guest: Guest) -> None:
        where = disks.make_directory(self._instances, guest.server_id)
        told = guest.documents
        if names_devices(told):  # libvirt chooses their places when it learns of the guest
            self.define(guest)
            told = with_places(told, self.placement(guest).nics)
        with self._named("make the config drive"):
            config_drive.make(told, where / (disks.CONFIG if guest.rescue is None else RESCUE_CONFIG))

    def define(self, guest: Guest) -> None:
        self._libvirt.run("define the guest", lambda conn: self._define(conn, guest))

    def start(self, guest: Guest) -> None:
        def work(conn: Any) -> None:
            domain = _find(conn, guest.server_id)
            if domain is None or not domain.isActive():
                self._define(conn, guest).create()

        self._libvirt.run("start the guest", work, timeout_s=_SAVE_S)

    def stop(self, server_id: str, *, timeout_s: float) -> None:
        def press(conn: Any) -> bool:
            """Whether there is something to wait for."""
            domain = _known(conn, server_id)
            if _power(domain) is not Power.RUNNING or not timeout_s:
                return False
            domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
            return True

        if self._press_until(server_id, press, "stop", timeout_s) is None:
            self._libvirt.run("stop the guest", lambda conn: _pull_plug(_find(conn, server_id)))

    def reboot_soft(self, server_id: str, *, timeout_s: float) -> bool:
        def press(conn: Any) -> bool:
            domain = _known(conn, server_id)
            if _power(domain) is not Power.RUNNING or not timeout_s:
                return False
            domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
            return True

        happened = self._press_until(server_id, press, "reboot", timeout_s)
        return happened is not None and happened.is_restart

    def reboot_hard(self, guest: Guest) -> None:
        def work(conn: Any) -> None:
            domain = _find(conn, guest.server_id)
            _pull_plug(domain)
            if domain is not None and domain.hasManagedSaveImage():
                domain.managedSaveRemove()
            self._define(conn, guest).create()

        self._libvirt.run("reboot the guest", work)

    def pause(self, server_id: str) -> None:
        def work(conn: Any) -> None:
            domain = _known(conn, server_id)
            if _power(domain) is not Power.PAUSED:
                domain.suspend()

        self._libvirt.run("pause the guest", work)

    def unpause(self, server_id: str) -> None:
        def work(conn: Any) -> None:
            domain = _known(conn, server_id)
            if _power(domain) is not Power.RUNNING:
                domain.resume()

        self._libvirt.run("unpause the guest", work)

    def suspend(self, server_id: str) -> None:
        def work(conn: Any) -> None:
            domain = _known(conn, server_id)
            if _power(domain) is not Power.SUSPENDED:
                # Saved while paused by its user, it is to run when resumed.
                domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)

        self._libvirt.run("suspend the guest", work, timeout_s=_SAVE_S)

    def resume(self, guest: Guest) -> None:
        self.start(guest)

    def attach_interface(self, guest: Guest, nic: Nic) -> None:
        self._libvirt.run("attach a NIC", lambda conn: interfaces.attach(conn, guest, nic))

    def detach_interface(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        interfaces.detach(self._libvirt, server_id, nic, host=self._host, timeout_s=timeout_s)

    def console_output(self, server_id: str) -> str:
        return consoles.output(disks.directory(self._instances, server_id) / consoles.LOG_FILE)

    def connect_console(self, server_id: str, type: ConsoleType) -> socket.socket:  # noqa: A002 - the contract's
        with self._named("open a console"):
            return self._libvirt.run("open a console", lambda conn: consoles.connect(_known(conn, server_id), type))

    def diagnostics(self, guest: Guest) -> GuestDiagnostics:
        return self._libvirt.run("read diagnostics", lambda conn: diagnostics.read(
            conn, _known(conn, guest.server_id), hypervisor=self._virt.type, config_drive=guest.config_drive))

    def placement(self, guest: Guest) -> GuestPlacement:
        return self._libvirt.run("read a guest's place", lambda conn: cpu_pinning.placement(_known(conn, guest.server_id)))

    def trigger_crash_dump(self, server_id: str) -> None:
        self._libvirt.run("send an NMI to the guest", lambda conn: _known(conn, server_id).injectNMI())

    def set_password(self, server_id: str, *, user: str, password: str) -> None:
        agent.set_password(self._libvirt, self._waiters, server_id, user=user, password=password)

    def destroy(self, server_id: str) -> None:
        def work(conn: Any) -> None:
            domain = _find(conn, server_id)
            if domain is not None:
                _pull_plug(domain)
                domain.undefineFlags(_UNDEFINE)
            vtpm.forget(conn, server_id)

        self._libvirt.run("destroy the guest", work)

    def remove_disks(self, server_id: str) -> None:
        with self._named("remove disks"):
            disks.remove(self._instances, server_id)

    def clean(self, kept: Collection[Guest]) -> None:
        self.clean_snapshots()
        self._images.clean(
            kept=[image for guest in kept for image in (guest.image, guest.rescue) if image],
            unused_for_s=self._conf.compute.remove_unused_base_images_after,
        )

    def _define(self, conn: Any, guest: Guest) -> Any:
        """The guest's domain, described anew unless it runs."""
        domain = _find(conn, guest.server_id)
        made = domain if domain is not None and domain.isActive() else self.define_anew(conn, guest)
        go_on()
        return made

    def _press_until(self, server_id: str, press: Any, action: str, timeout_s: float) -> DomainEvent | None:
        """Press the power button until the guest goes off or restarts; None: it does not in time, or is off."""
        deadline = time.monotonic() + timeout_s
        with self._waiters.listen(server_id) as inbox:
            while self._libvirt.run(f"{action} the guest", press):
                again = min(time.monotonic() + _PRESS_EVERY_S, deadline)
                while (left := again - time.monotonic()) > 0:
                    with contextlib.suppress(queue.Empty):
                        happening = inbox.get(timeout=left)
                        if happening.is_off or happening.is_restart:
                            return happening
                if again >= deadline:
                    LOG.info("server %s: did not %s within %.0f s of the power button", server_id, action, timeout_s)
                    return None
        return None

    def _list(self, conn: Any) -> dict[str, Power]:
        found = {}
        for domain in conn.listAllDomains():
            with _gone_is_fine():
                text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
                if owner_of(text) == self._owner:
                    found[domain.UUIDString()] = _power(domain)
        return found

    def _event(self, server_id: str, event: int, detail: int) -> None:
        power = power_of_event(event, detail)
        if power is not None:
            self._waiters.tell(server_id, DomainEvent(power))
            self._on_power(server_id, power)

    def _rebooted(self, server_id: str) -> None:
        self._waiters.tell(server_id, DomainEvent(None))

    def _agent_came(self, server_id: str) -> None:
        self._waiters.tell(server_id, DomainEvent(None, is_agent=True))

    def _reread(self) -> None:
        """Events were missed while libvirt was away."""
        for server_id, power in self.list_ours().items():
            self._waiters.tell(server_id, DomainEvent(power))
            self._on_power(server_id, power)

    @contextlib.contextmanager
    def _named(self, action: str) -> Any:
        try:
            yield
        except (commands.CommandFailed, OSError, ValueError) as error:
            raise errors.HypervisorFailed(host=self._host, action=action, reason=error) from error


def _find(conn: Any, server_id: str) -> Any:
    """The domain, or None."""
    try:
        return _known(conn, server_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _known(conn: Any, server_id: str) -> Any:
    found = conn.lookupByUUIDString(server_id)
    go_on()
    return found


def _power(domain: Any) -> Power:
    if domain is None:
        return Power.NOSTATE
    state, reason = domain.state()
    is_off = state == libvirt.VIR_DOMAIN_SHUTOFF
    return power_of_state(state, reason, has_saved_memory=is_off and bool(domain.hasManagedSaveImage()))


def _pull_plug(domain: Any) -> None:
    """Power off at once; a guest that is off, or goes off meanwhile, is fine."""
    for left in reversed(range(_DESTROY_TRIES)):
        if domain is None or not domain.isActive():
            return
        go_on()
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            # QEMU in uninterruptible I/O: libvirt gives up after 15 s with SYSTEM_ERROR, though it dies later.
            is_busy = error.get_error_code() in (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_OPERATION_INVALID)
            if not (is_busy and left):
                raise


@contextlib.contextmanager
def _gone_is_fine() -> Any:
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA):
            raise
