# SPDX-License-Identifier: Apache-2.0
"""What this host has that flavors and images may require, so that schedulers send it only guests that it can run."""

from __future__ import annotations

import json
import os
import resource
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

from oslo_config import cfg

from nova_lite.compute import inventory
from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.libvirt.hardware import capability_check
from nova_lite.hardware import resource_request
from nova_lite.rpc.conductor import HostCapabilities, HostNumaNode
from nova_lite.values.hardware import Hardware

_PAGES = Path("/sys/kernel/mm/hugepages")
_NODES = Path("/sys/devices/system/node")
_CAP_SYS_RESOURCE = 24  # linux/capability.h
_CPUINFO = Path("/proc/cpuinfo")
# CPU flags of Linux whose names in os-traits are other than HW_CPU_X86_ and the flag; None: os-traits has none.
_FLAGS = {
    "sse4_1": "SSE41", "sse4_2": "SSE42", "pni": "SSE3", "aes": "AESNI", "sha_ni": "SHA", "lm": None, "fma": "FMA3",
    "pclmulqdq": "CLMUL", "hle": "HLE",
}
_SAME = frozenset((
    "mmx", "sse", "sse2", "ssse3", "sse4a", "avx", "avx2", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl",
    "avx512vbmi", "avx512ifma", "f16c", "fma4", "bmi1", "bmi2", "xop", "tbm", "abm", "adx", "mpx", "rtm", "svm", "vmx",
    "pcid", "rdtscp", "fsgsbase", "gfni",
))


def read(conf: cfg.ConfigOpts, *, arch: str, is_kvm: bool) -> HostCapabilities:
    """The host's offers now.

    :raises ValueError: [compute] cpu_dedicated_set or cpu_shared_set is wrong.
    """
    cpu_sets.refuse_absent(conf)
    layout = cpu_sets.layout()
    dedicated = set(cpu_sets.dedicated(conf))
    nodes = []
    for number, memory_mb in enumerate(_memory_of_nodes()):
        cpus = sorted(cpu for cpu, node in layout.node_of.items() if node == number)
        nodes.append(HostNumaNode(cpus=tuple(cpus), dedicated=tuple(sorted(dedicated & set(cpus))), memory_mb=memory_mb))
    return HostCapabilities(
        numa_nodes=tuple(nodes), hugepages_mb={str(kib): total * kib >> 10 for kib, (total, _) in _pages().items() if total},
        traits=tuple(sorted({*conf.compute.custom_traits, *_traits(arch, is_kvm=is_kvm, threads=layout.threads)})),
        threads=layout.threads)


def page_kib(hardware: Hardware, *, ram_mb: int) -> int | None:
    """The size of huge pages that a guest's memory is to be in; None: in ordinary ones.

    :raises ValueError: there are no such pages.
    """
    if hardware.page_size in (None, "small", "any", 4):
        return None
    if isinstance(hardware.page_size, int):
        return hardware.page_size
    sizes = sorted(_pages().items(), reverse=True)
    size = next((kib for kib, (_, free) in sizes if free * kib >= ram_mb << 10), None) or next(
        (kib for kib, (total, _) in sizes if total * kib >= ram_mb << 10), None)
    if size is None:
        raise ValueError(f"hw:mem_page_size={hardware.page_size}: the host has no huge pages for {ram_mb} MiB")
    return size


def cpu_info(capabilities: str) -> str:
    """The host's processor as JSON text, in the shape of os-hypervisors, from libvirt's capabilities XML."""
    cpu = ET.fromstring(capabilities).find("host/cpu")
    if cpu is None:
        return "{}"
    topology = cpu.find("topology")
    return json.dumps({
        "arch": cpu.findtext("arch", ""), "model": cpu.findtext("model", ""), "vendor": cpu.findtext("vendor", ""),
        "topology": {name: int(topology.get(name, "1")) for name in ("sockets", "cores", "threads")}
        if topology is not None else {},
        "features": sorted(feature.get("name", "") for feature in cpu.findall("feature")),
    })


def _pages() -> dict[int, tuple[int, int]]:
    """Size in KiB of huge pages: how many there are, and are free."""
    return {
        int(path.name.removeprefix("hugepages-").removesuffix("kB")): (
            int((path / "nr_hugepages").read_text()), int((path / "free_hugepages").read_text()))
        for path in _PAGES.glob("hugepages-*")}


def _memory_of_nodes() -> list[int]:
    """MiB of each NUMA node; one for all where the kernel knows none."""
    memory_mb = []
    for number in range(len(list(_NODES.glob("node[0-9]*")))):
        lines = (_NODES / f"node{number}" / "meminfo").read_text().splitlines()
        memory_mb.append(next(int(line.split()[3]) >> 10 for line in lines if "MemTotal:" in line))
    return memory_mb or [inventory.ram_mb()]


def _traits(arch: str, *, is_kvm: bool, threads: int) -> list[str]:
    traits = ["COMPUTE_NODE", "COMPUTE_FIRMWARE_BIOS"] if arch == "x86_64" else ["COMPUTE_NODE"]
    if capability_check.has_firmware(arch, is_secure=False):
        traits.append(resource_request.UEFI)
    if capability_check.has_firmware(arch, is_secure=True):
        traits.append(resource_request.SECURE_BOOT)
    if capability_check.has_tpm():
        traits.extend(resource_request.TPM.values())
    if threads > 1:
        traits.append(resource_request.THREADS)
    if _can_run_in_real_time():
        traits.append(resource_request.REALTIME)
    if _can_lock_memory():
        traits.append(resource_request.LOCKED)
    return traits + (_cpu_traits() if arch == "x86_64" and is_kvm else [])


def _cpu_traits() -> list[str]:
    """What guests may use of the processor; without KVM theirs is QEMU's, whatever the host has."""
    line = next((line for line in _CPUINFO.read_text().splitlines() if line.startswith("flags")), "")
    flags = set(line.partition(":")[2].split())
    named = [_FLAGS[flag] for flag in flags & _FLAGS.keys()] + [flag.upper() for flag in flags & _SAME]
    return [f"HW_CPU_X86_{name}" for name in named if name]


def _can_lock_memory() -> bool:
    """Whether libvirt, with rights like ours, may lift the limit of locked memory of a guest's QEMU."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == resource.RLIM_INFINITY:
        return True
    status = Path("/proc/self/status").read_text()
    rights = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(rights >> _CAP_SYS_RESOURCE & 1)


def _can_run_in_real_time() -> bool:
    """Whether the kernel lets a thread here have the least real-time priority: containers often may not."""
    allowed: list[bool] = []

    def probe() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError:
            return
        allowed.append(True)

    thread = threading.Thread(target=probe, name="realtime-probe")
    thread.start()
    thread.join()
    return bool(allowed)
