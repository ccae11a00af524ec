# SPDX-License-Identifier: Apache-2.0
"""Processors, memory and clock of a domain: topology, NUMA, pinning, pages, shares, and settings for Windows."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nova_lite.compute.virt.cpu_sets import CpuPinning
from nova_lite.compute.virt.libvirt.xml import firmware
from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.values.hardware import Hardware

_TUNE = (("cpu_shares", "shares"), ("cpu_period", "period"), ("cpu_quota", "quota"))
# Of real-time CPUs: the lowest, which is above all that is not real-time.
_PRIORITY = "1"
# What Nova enables for guests whose os_type is windows, against clock drift and needless exits.
_HYPERV: tuple[tuple[str, dict[str, str]], ...] = (
    ("relaxed", {}), ("vapic", {}), ("spinlocks", {"retries": "8191"}))


def write(
    domain: ET.Element, hardware: Hardware, *, arch: str, is_kvm: bool, tb_cache_mb: int, pins: CpuPinning, shared: str,
    page_kib: int | None,
) -> None:
    """Processors, memory, clock. `shared`: CPUs of the host for all that is not pinned. `page_kib`: size of huge pages."""
    _memory(domain, hardware, page_kib)
    _tune(domain, hardware, pins, shared)
    is_windows = (hardware.os_type or "").lower() == "windows"
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    if arch == "x86_64":
        ET.SubElement(features, "apic")
    if hardware.has_pmu is not None or hardware.cpus.realtime:
        ET.SubElement(features, "pmu", state="on" if hardware.has_pmu and not hardware.cpus.realtime else "off")
    if firmware.is_secure(hardware):
        ET.SubElement(features, "smm", state="on")
    if is_kvm and is_windows:
        hyperv = ET.SubElement(features, "hyperv")
        for name, more in _HYPERV:
            ET.SubElement(hyperv, name, {"state": "on", **more})
    if is_kvm and hardware.is_hidden:
        ET.SubElement(ET.SubElement(features, "kvm"), "hidden", state="on")
    if not is_kvm:
        # QEMU would keep 1 GiB of translated code for each guest.
        text(ET.SubElement(features, "tcg"), "tb-cache", str(tb_cache_mb), unit="MiB")
    _cpu(domain, hardware, is_kvm=is_kvm)
    _clock(domain, hardware, is_kvm=is_kvm, is_windows=is_windows)


def _memory(domain: ET.Element, hardware: Hardware, page_kib: int | None) -> None:
    if page_kib or hardware.locked_memory or hardware.cpus.realtime:
        backing = ET.SubElement(domain, "memoryBacking")
        if page_kib:
            ET.SubElement(ET.SubElement(backing, "hugepages"), "page", size=str(page_kib), unit="KiB")
        if hardware.cpus.realtime:
            ET.SubElement(backing, "nosharepages")
        if hardware.locked_memory or hardware.cpus.realtime:
            ET.SubElement(backing, "locked")
    if hardware.numa_nodes:
        # Each of the guest's nodes on the host's node of its number.
        tune = ET.SubElement(domain, "numatune")
        ET.SubElement(tune, "memory", mode="strict", nodeset=f"0-{len(hardware.numa_nodes) - 1}")
        for number in range(len(hardware.numa_nodes)):
            ET.SubElement(tune, "memnode", cellid=str(number), mode="strict", nodeset=str(number))


def _tune(domain: ET.Element, hardware: Hardware, pins: CpuPinning, shared: str) -> None:
    limits = [(tag, hardware.quota[name]) for name, tag in _TUNE if name in hardware.quota]
    if not limits and not pins.cpus:
        return
    tune = ET.SubElement(domain, "cputune")
    for tag, limit in limits:
        text(tune, tag, str(limit))
    for vcpu, cpu in sorted(pins.cpus.items()):
        ET.SubElement(tune, "vcpupin", vcpu=str(vcpu), cpuset=str(cpu))
    emulator = ",".join(str(cpu) for cpu in pins.emulator) or shared
    if pins.cpus and emulator:
        ET.SubElement(tune, "emulatorpin", cpuset=emulator)
    if hardware.cpus.realtime:
        ET.SubElement(tune, "vcpusched", vcpus=",".join(str(cpu) for cpu in hardware.cpus.realtime), scheduler="fifo",
                      priority=_PRIORITY)


def _cpu(domain: ET.Element, hardware: Hardware, *, is_kvm: bool) -> None:
    cpu = ET.SubElement(domain, "cpu", mode="host-model" if is_kvm else "maximum")
    shape = hardware.topology
    if shape is not None:
        ET.SubElement(cpu, "topology", sockets=str(shape.sockets), cores=str(shape.cores), threads=str(shape.threads))
    if hardware.numa_nodes:
        numa = ET.SubElement(cpu, "numa")
        for number, node in enumerate(hardware.numa_nodes):
            ET.SubElement(numa, "cell", id=str(number), cpus=",".join(str(n) for n in node.cpus),
                          memory=str(node.memory_mb), unit="MiB")


def _clock(domain: ET.Element, hardware: Hardware, *, is_kvm: bool, is_windows: bool) -> None:
    clock = ET.SubElement(domain, "clock", offset="localtime" if is_windows else "utc")
    if is_kvm:
        ET.SubElement(clock, "timer", name="pit", tickpolicy="delay")
        ET.SubElement(clock, "timer", name="rtc", tickpolicy="catchup")
    if is_kvm or hardware.has_hpet is not None:
        ET.SubElement(clock, "timer", name="hpet", present="yes" if hardware.has_hpet else "no")
    if is_kvm and is_windows:
        ET.SubElement(clock, "timer", name="hypervclock", present="yes")
