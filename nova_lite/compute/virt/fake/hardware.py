# SPDX-License-Identifier: Apache-2.0
"""Hardware of simulated hosts: what they say they offer, and CPUs given to simulated guests as to real ones."""

from __future__ import annotations

from collections.abc import Iterable

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning, CpuSets
from nova_lite.hardware import requirements, resource_request
from nova_lite.rpc.compute import Guest, GuestPlacement
from nova_lite.rpc.conductor import HostCell, Offers

_PAGE_KIB = 2048
_TRAITS = (
    "COMPUTE_NODE", "COMPUTE_FIRMWARE_BIOS", resource_request.UEFI, resource_request.SECURE_BOOT, resource_request.REALTIME, resource_request.LOCKED, *resource_request.TPM.values(),
)


def cpus(conf: cfg.ConfigOpts) -> CpuSets:
    """A simulated host's; each CPU is a core of its own."""
    return CpuSets(cpu_sets.dedicated(conf), cpu_sets.shared(conf, there=range(conf.compute.fake_vcpus)))


def offers(conf: cfg.ConfigOpts) -> Offers:
    """One NUMA node with all there is."""
    sets, pages_mb = cpus(conf), conf.compute.fake_huge_pages_mb
    cell = HostCell(cpus=tuple(sorted((*sets.shared, *sets.dedicated))), dedicated=sets.dedicated,
                    memory_mb=conf.compute.fake_ram_mb)
    return Offers(cells=(cell,), pages_mb={str(_PAGE_KIB): pages_mb} if pages_mb else {},
                  traits=tuple(sorted({*_TRAITS, *conf.compute.custom_traits})))


def pin(guest: Guest, own: CpuPinning, others: Iterable[CpuPinning], *, among: CpuSets) -> CpuPinning:
    """CPUs that none of the host's other guests has.

    :raises errors.HypervisorFailed: there are too few.
    """
    asked = _asked(guest)
    if not asked.cpus.dedicated:
        return NO_PINS
    if tuple(sorted(own.cpus)) == asked.cpus.dedicated and len(own.taken) == asked.cpus.host_cpus:
        return own
    taken = {cpu for other in others for cpu in other.taken}
    try:
        return cpu_sets.pick(asked.cpus, cells=asked.cells, free=set(among.dedicated) - taken, among=among)
    except ValueError as lack:
        raise errors.HypervisorFailed(host=guest.host, action="make such a guest", reason=lack) from lack


def placement(guest: Guest, own: CpuPinning) -> GuestPlacement:
    """As a real host would tell it."""
    size = _asked(guest).page_size
    is_huge = size not in (None, "small", "any", 4)
    return cpu_sets.as_placement(
        own, cpu_sets.Layout(), page_kib=(size if isinstance(size, int) else _PAGE_KIB) if is_huge else None,
        nics={nic.mac: f"0000:00:{slot:02x}.0" for slot, nic in enumerate(guest.nics, start=3)})


def _asked(guest: Guest) -> requirements.Hardware:
    return requirements.read(specs=guest.extra_specs, image=guest.image.properties, vcpus=guest.vcpus, ram_mb=guest.ram_mb)
