# SPDX-License-Identifier: Apache-2.0
"""Gives guests CPUs of their own by what libvirt knows of all domains: nothing else is kept."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning, CpuSets
from nova_lite.compute.virt.libvirt import interfaces
from nova_lite.hardware import topology
from nova_lite.hardware.requirements import Hardware
from nova_lite.rpc.compute import GuestPlacement


def choose(conn: Any, server_id: str, hardware: Hardware, *, among: CpuSets) -> CpuPinning:
    """CPUs that no other domain is pinned to; a guest that has what it needs keeps it.

    The caller holds a lock from here until the domain is defined.

    :raises cpu_sets.NoneFree: there are fewer.
    """
    if not hardware.cpus.dedicated:
        return NO_PINS
    own, taken = NO_PINS, set[int]()
    for domain in conn.listAllDomains():
        try:
            pinned = of_domain(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), allowed=among.dedicated)
        except libvirt.libvirtError:  # it went meanwhile
            continue
        if domain.UUIDString() == server_id:
            own = pinned
        else:
            taken |= pinned.taken
    free = set(among.dedicated) - taken
    if is_enough(own, hardware) and own.taken <= free:
        return own
    return cpu_sets.pick(hardware.cpus, cells=hardware.cells, free=free, among=among)


def is_enough(own: CpuPinning, hardware: Hardware) -> bool:
    """Whether the pins are those of a guest that asks for this."""
    return tuple(sorted(own.cpus)) == hardware.cpus.dedicated and len(own.taken) == hardware.cpus.host_cpus


def of_domain(xml: str, *, allowed: tuple[int, ...] | None = None) -> CpuPinning:
    """What a domain is pinned to, one CPU for one; `allowed`: other CPUs of the host are shared, so they do not count."""
    tune = ET.fromstring(xml).find("cputune")
    if tune is None:
        return NO_PINS
    found = {}
    for pin in tune.findall("vcpupin"):
        cpus = topology.parse_cpus("cpuset", pin.get("cpuset", "0"))
        if len(cpus) == 1 and (allowed is None or cpus[0] in allowed):
            found[int(pin.get("vcpu", "0"))] = cpus[0]
    emulator = tune.find("emulatorpin")
    cpus = () if emulator is None else topology.parse_cpus("cpuset", emulator.get("cpuset", "0"))
    return CpuPinning(found, tuple(cpu for cpu in cpus if allowed is None or cpu in allowed))


def placement(domain: Any) -> GuestPlacement:
    """What the domain is pinned to, the size of its pages, and where its NICs are."""
    described = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    page = ET.fromstring(described).find("memoryBacking/hugepages/page")
    return cpu_sets.as_placement(
        of_domain(described), cpu_sets.layout(), page_kib=int(page.get("size", "0")) if page is not None else None,
        nics=interfaces.places(domain.XMLDesc()))
