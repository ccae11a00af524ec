# SPDX-License-Identifier: Apache-2.0
"""Gives guests with hw:cpu_policy=dedicated CPUs of their own, by what libvirt knows of all domains: nothing else is kept."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any

import libvirt
from oslo_config import cfg

from nova_lite import errors
from nova_lite.hardware import topology


class NoneFree(ValueError):
    """There are not enough; the text says how many."""


def dedicated(conf: cfg.ConfigOpts) -> tuple[int, ...]:
    """The host's CPUs that are kept for single guests, ascending.

    :raises ValueError: [compute] cpu_dedicated_set is no list of CPUs of this host.
    """
    said = conf.compute.cpu_dedicated_set
    if not said:
        return ()
    try:
        found = topology.parse_cpus("[compute] cpu_dedicated_set", said)
    except errors.BadRequest as wrong:
        raise ValueError(wrong.text) from wrong
    absent = set(found) - os.sched_getaffinity(0) - set(range(os.cpu_count() or 1))
    if absent:
        raise ValueError(f"[compute] cpu_dedicated_set names CPUs that this host does not have: {sorted(absent)}")
    return found


def shared(conf: cfg.ConfigOpts) -> str:
    """The CPUs of all other guests, as libvirt lists them; "": any."""
    kept = set(dedicated(conf))
    if not kept:
        return ""
    rest = sorted(set(range(os.cpu_count() or 1)) - kept)
    if not rest:
        raise ValueError("[compute] cpu_dedicated_set leaves no CPU for other guests and the host itself")
    return ",".join(str(cpu) for cpu in rest)


def choose(conn: Any, server_id: str, *, vcpus: int, among: Iterable[int]) -> tuple[int, ...]:
    """As many CPUs that no other domain is pinned to; a guest that has its own keeps them.

    The caller holds a lock from here until the domain is defined.

    :raises NoneFree: there are fewer.
    """
    allowed = tuple(among)
    taken: set[int] = set()
    for domain in conn.listAllDomains():
        try:
            pinned = _pinned(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        except libvirt.libvirtError:  # it went meanwhile
            continue
        if domain.UUIDString() != server_id:
            taken |= set(pinned)
        elif len(pinned) == vcpus and set(pinned) <= set(allowed):
            return pinned
    free = [cpu for cpu in allowed if cpu not in taken]
    if len(free) < vcpus:
        raise NoneFree(f"hw:cpu_policy=dedicated: {len(free)} of the host's dedicated CPUs are free, {vcpus} are needed")
    return tuple(free[:vcpus])


def _pinned(xml: str) -> tuple[int, ...]:
    pins = ET.fromstring(xml).findall("cputune/vcpupin")
    return tuple(cpu for pin in pins for cpu in topology.parse_cpus("cpuset", pin.get("cpuset", "0")))
