# SPDX-License-Identifier: Apache-2.0
"""The host under libvirt: connection, inventory, clean-up."""

from __future__ import annotations

from collections.abc import Collection

from nova_lite.compute import inventory
from nova_lite.compute.images import ImageCache
from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.driver import PowerListener
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.events import DomainEvents
from nova_lite.compute.virt.libvirt.guests import LibvirtGuests
from nova_lite.compute.virt.libvirt.hardware import capability_probe, host_capabilities
from nova_lite.compute.virt.libvirt.storage.io_errors import IoErrors
from nova_lite.compute.virt.libvirt.storage.snapshots import LibvirtSnapshots
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.conductor import Inventory


class LibvirtHost:
    """See nova_lite.compute.virt.driver.host."""

    def __init__(  # one for each thing that is opened or cleaned
        self, env: Environment, connection: Connection, guests: LibvirtGuests, events: DomainEvents, cache: ImageCache,
        snapshots: LibvirtSnapshots, io_errors: IoErrors,
    ) -> None:
        self._env, self._connection, self._guests, self._events = env, connection, guests, events
        self._cache, self._snapshots, self._io_errors = cache, snapshots, io_errors

    def open(self, on_power: PowerListener) -> None:
        self._env.probe()
        self._events.subscribe(on_power, on_io_error=self._io_errors.see)
        self._io_errors.start()
        self._connection.open(on_connected=self._publish_states)

    def close(self) -> None:
        self._io_errors.stop()
        self._connection.close()

    def check(self, action: str) -> None:
        self._connection.check(action)

    def inventory(self) -> tuple[Inventory, ...]:
        env, compute = self._env, self._env.conf.compute
        version, capabilities = self._connection.run(
            "describe the host", lambda conn: (int(conn.getVersion()), str(conn.getCapabilities())))
        disk_gb, disk_free_gb = inventory.disk_gb(env.instances)
        with env.failing("describe the host"):
            offered = host_capabilities.read(
                env.conf, arch=env.arch, is_kvm=env.virt.type == capability_probe.KVM)
            shared, dedicated = len(cpu_sets.shared(env.conf)), len(cpu_sets.dedicated(env.conf))
        return (Inventory(
            host=env.host, vcpus=shared, pcpus=dedicated, capabilities=offered, hugepages_mb=sum(offered.hugepages_mb.values()),
            ram_mb=inventory.ram_mb(), disk_gb=disk_gb, architecture=env.arch, hypervisor_type="QEMU",
            hypervisor_version=version, hypervisor_hostname=env.host, virt_type=env.virt.type,
            virt_reason=env.virt.reason, cpu_info=host_capabilities.cpu_info(capabilities), host_ip=env.conf.my_ip,
            tunnel_ip=env.conf.network.tunnel_ip or None, reserved_ram_mb=compute.reserved_host_memory_mb,
            reserved_disk_gb=-(-compute.reserved_host_disk_mb // 1024) + (self._cache.used_bytes() >> 30), disk_free_gb=disk_free_gb,
            uptime=inventory.uptime(),
        ),)

    def clean(self, kept: Collection[Guest]) -> None:
        self._snapshots.remove_expired()
        self._cache.clean(
            kept=[image for guest in kept for image in (guest.image, guest.rescue) if image],
            unused_for_s=self._env.conf.compute.remove_unused_base_images_after)

    def _publish_states(self) -> None:
        """Events were missed while libvirt was away."""
        for server_id, power in self._guests.list_ours().items():
            self._events.publish(server_id, power)
        self._io_errors.see_all()
