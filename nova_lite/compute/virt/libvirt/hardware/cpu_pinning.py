# SPDX-License-Identifier: Apache-2.0
"""Chooses CPUs for guests that need their own, by what libvirt knows of all domains: nothing else is recorded."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning, CpuSets
from nova_lite.hardware import topology
from nova_lite.values.hardware import Hardware


def choose(conn: Any, server_id: str, hardware: Hardware, *, among: CpuSets) -> CpuPinning:
    """CPUs that no other domain is pinned to; a guest that has those it requires keeps them.

    The caller holds a lock from here until the domain is defined.

    :raises cpu_sets.NoneFree: there are fewer.
    """
    if not hardware.cpus.dedicated:
        return NO_PINS
    own, taken = NO_PINS, set[int]()
    for domain in conn.listAllDomains():
        try:
            description = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        except libvirt.libvirtError:  # removed meanwhile
            continue
        pinned = of_domain(description, allowed=among.dedicated)
        if domain.UUIDString() == server_id:
            own = pinned
        else:
            taken |= pinned.taken
    free = set(among.dedicated) - taken
    if is_enough(own, hardware) and own.taken <= free:
        return own
    return cpu_sets.pick(hardware.cpus, numa_nodes=hardware.numa_nodes, free=free, among=among)


def is_enough(own: CpuPinning, hardware: Hardware) -> bool:
    """Whether the guest has all the CPUs that it requires."""
    return tuple(sorted(own.cpus)) == hardware.cpus.dedicated and len(own.taken) == hardware.cpus.host_cpus


def of_domain(domain: ET.Element, *, allowed: tuple[int, ...] | None = None) -> CpuPinning:
    """What a domain is pinned to, one CPU for each of its own; CPUs that are not in `allowed` are shared and do not count."""
    tune = domain.find("cputune")
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
