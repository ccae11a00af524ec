# SPDX-License-Identifier: Apache-2.0
"""Hardware of simulated hosts: their inventory, and CPUs chosen for simulated guests as for real ones."""

from __future__ import annotations

import json
from collections.abc import Iterable

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute import inventory as machine
from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning, CpuSets
from nova_lite.hardware import requirements, resource_request
from nova_lite.rpc.compute import Guest, GuestPlacement
from nova_lite.rpc.conductor import HostCapabilities, HostNumaNode, Inventory
from nova_lite.runtime.ttl_cache import TtlCache
from nova_lite.values import guest_disk
from nova_lite.values.hardware import Hardware
from nova_lite.values.instance_metadata import DevicePlace

_PAGE_KIB = 2048
_TRAITS = (
    "COMPUTE_NODE", "COMPUTE_FIRMWARE_BIOS", resource_request.UEFI, resource_request.SECURE_BOOT, resource_request.REALTIME, resource_request.LOCKED, *resource_request.TPM.values(),
)


_CPU_INFO = json.dumps({
    "arch": "x86_64", "model": "fake", "vendor": "nova_lite", "features": [],
    "topology": {"sockets": 1, "cores": 1, "threads": 1},
})
# Of the machine under all simulated hosts; to read it takes a process.
_UPTIME = TtlCache(lambda: machine.uptime(), seconds=60)


def inventory(conf: cfg.ConfigOpts, host: str) -> Inventory:
    """What one simulated host has."""
    sets, offered = cpus(conf), capabilities(conf)
    return Inventory(
        host=host, vcpus=len(sets.shared), pcpus=len(sets.dedicated), capabilities=offered,
        hugepages_mb=sum(offered.hugepages_mb.values()), ram_mb=conf.compute.fake_ram_mb,
        disk_gb=conf.compute.fake_disk_gb, architecture="x86_64", hypervisor_type="fake", hypervisor_version=1000000,
        hypervisor_hostname=host, virt_type="fake", virt_reason="[compute] driver is fake: guests exist in memory only",
        cpu_info=_CPU_INFO, host_ip=conf.my_ip, tunnel_ip=conf.network.tunnel_ip or None,
        reserved_ram_mb=conf.compute.reserved_host_memory_mb,
        reserved_disk_gb=-(-conf.compute.reserved_host_disk_mb // 1024),
        disk_free_gb=conf.compute.fake_disk_gb, uptime=_UPTIME.get(),
    )


def cpus(conf: cfg.ConfigOpts) -> CpuSets:
    """The CPUs of a simulated host; each is a core of its own."""
    return CpuSets(cpu_sets.dedicated(conf), cpu_sets.shared(conf, existing=range(conf.compute.fake_vcpus)))


def capabilities(conf: cfg.ConfigOpts) -> HostCapabilities:
    """One NUMA node with all there is."""
    sets, pages_mb = cpus(conf), conf.compute.fake_huge_pages_mb
    node = HostNumaNode(cpus=tuple(sorted((*sets.shared, *sets.dedicated))), dedicated=sets.dedicated,
                        memory_mb=conf.compute.fake_ram_mb)
    return HostCapabilities(numa_nodes=(node,), hugepages_mb={str(_PAGE_KIB): pages_mb} if pages_mb else {},
                            traits=tuple(sorted({*_TRAITS, *conf.compute.custom_traits})))


def pin(guest: Guest, own: CpuPinning, others: Iterable[CpuPinning], *, among: CpuSets) -> CpuPinning:
    """CPUs that none of the host's other guests has.

    :raises errors.HypervisorFailed: there are too few.
    """
    required = _hardware(guest)
    if not required.cpus.dedicated:
        return NO_PINS
    if tuple(sorted(own.cpus)) == required.cpus.dedicated and len(own.taken) == required.cpus.host_cpus:
        return own
    taken = {cpu for other in others for cpu in other.taken}
    try:
        return cpu_sets.pick(required.cpus, numa_nodes=required.numa_nodes, free=set(among.dedicated) - taken, among=among)
    except ValueError as error:
        raise errors.HypervisorFailed(host=guest.host, action="make such a guest", reason=error) from error


def placement(guest: Guest, own: CpuPinning) -> GuestPlacement:
    """As a real host reports it."""
    size = _hardware(guest).page_size
    is_huge = size not in (None, "small", "any", 4)
    return cpu_sets.as_placement(
        own, cpu_sets.Layout(), page_kib=(size if isinstance(size, int) else _PAGE_KIB) if is_huge else None,
        nics={nic.mac: f"0000:00:{slot:02x}.0" for slot, nic in enumerate(guest.nics, start=3)},
        disks={serial: DevicePlace("pci", f"0000:01:{slot:02x}.0") for slot, serial in enumerate(guest_disk.serials(guest.disks))})


def _hardware(guest: Guest) -> Hardware:
    return requirements.read(specs=guest.extra_specs, image=guest.image.properties, vcpus=guest.vcpus, ram_mb=guest.ram_mb)
