# SPDX-License-Identifier: Apache-2.0
"""Which of the host's CPUs are kept for single guests, which all others share, and which a guest gets of the former."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from oslo_config import cfg

from nova_lite import errors
from nova_lite.hardware import topology
from nova_lite.rpc.compute import GuestPlacement
from nova_lite.values.hardware import CpuPolicy, NumaNode

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")


class NoneFree(ValueError):
    """There are not enough; the text says how many."""


@dataclasses.dataclass(frozen=True)
class CpuPinning:
    """The host's CPU for each of the guest's that has one, and those that its emulator runs on (empty: any shared)."""

    cpus: Mapping[int, int] = dataclasses.field(default_factory=dict)
    emulator: tuple[int, ...] = ()

    @property
    def taken(self) -> frozenset[int]:
        """The host's CPUs that are this guest's alone; an emulator that shares runs on others."""
        return frozenset(self.cpus.values()) | frozenset(self.emulator)


NO_PINS = CpuPinning()


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a host's CPUs lie: node of each, and the threads of each one's core, itself among them."""

    node_of: Mapping[int, int] = dataclasses.field(default_factory=dict)
    siblings: Mapping[int, frozenset[int]] = dataclasses.field(default_factory=dict)

    def core_of(self, cpu: int) -> frozenset[int]:
        return self.siblings.get(cpu, frozenset((cpu,)))

    @property
    def threads(self) -> int:
        """Of a core."""
        return max((len(core) for core in self.siblings.values()), default=1)


@dataclasses.dataclass(frozen=True)
class CpuSets:
    """A host's CPUs: kept for single guests, shared by all others, and how they lie."""

    dedicated: tuple[int, ...]
    shared: tuple[int, ...]
    layout: Layout = Layout()


def of_host(conf: cfg.ConfigOpts) -> CpuSets:
    """This machine's; none is dedicated where its options say nothing.

    :raises ValueError: its options contradict each other.
    """
    return CpuSets(dedicated(conf), shared(conf), layout())


def layout() -> Layout:
    """The machine's, as its kernel tells."""
    siblings = {}
    for path in _CPUS.glob("cpu[0-9]*/topology/thread_siblings_list"):
        core = topology.parse_cpus(path.name, path.read_text().strip())
        siblings[int(path.parent.parent.name.removeprefix("cpu"))] = frozenset(core)
    nodes = {cpu: int(path.parent.name.removeprefix("node")) for path in _NODES.glob("node[0-9]*/cpulist")
             if (text := path.read_text().strip()) for cpu in topology.parse_cpus(path.name, text)}
    return Layout(nodes, siblings)


def dedicated(conf: cfg.ConfigOpts) -> tuple[int, ...]:
    """The host's CPUs that are kept for single guests, ascending.

    :raises ValueError: [compute] cpu_dedicated_set is no list of CPUs.
    """
    return _listed(conf, "cpu_dedicated_set")


def shared(conf: cfg.ConfigOpts, *, there: Collection[int] | None = None) -> tuple[int, ...]:
    """The CPUs of all other guests, ascending: those of cpu_shared_set, or all that are not dedicated.

    :raises ValueError: none is left, or one is in both.
    """
    kept = set(dedicated(conf))
    said = _listed(conf, "cpu_shared_set")
    if kept & set(said):
        raise ValueError(f"[compute] cpu_dedicated_set and cpu_shared_set both name {sorted(kept & set(said))}")
    rest = tuple(said) or tuple(sorted(set(range(os.cpu_count() or 1) if there is None else there) - kept))
    if not rest:
        raise ValueError("[compute] cpu_dedicated_set leaves no CPU for other guests and the host itself")
    return rest


def refuse_absent(conf: cfg.ConfigOpts) -> None:
    """:raises ValueError: [compute] names CPUs that this machine does not have."""
    absent = {*dedicated(conf), *_listed(conf, "cpu_shared_set")} - os.sched_getaffinity(0) - set(range(os.cpu_count() or 1))
    if absent:
        raise ValueError(f"[compute] cpu_dedicated_set or cpu_shared_set names CPUs that this host does not have: {sorted(absent)}")


def _listed(conf: cfg.ConfigOpts, name: str) -> tuple[int, ...]:
    said = conf.compute[name]
    if not said:
        return ()
    try:
        return topology.parse_cpus(f"[compute] {name}", said)
    except errors.BadRequest as wrong:
        raise ValueError(wrong.text) from wrong


def pick(policy: CpuPolicy, *, numa_nodes: tuple[NumaNode, ...], free: Collection[int], among: CpuSets) -> CpuPinning:
    """CPUs for a guest, out of those that no other guest has.

    Full cores first, so that two guests seldom share one; on one NUMA node if one has room, or on those of `numa_nodes`.

    :raises NoneFree: there are not enough.
    """
    needed, known = policy.host_cpus, among.layout
    ordered = sorted(free, key=lambda cpu: (known.node_of.get(cpu, 0), -_free_of_core(cpu, free, known), min(known.core_of(cpu)), cpu))
    if len(ordered) < needed:
        raise NoneFree(f"hw:cpu_policy: {len(ordered)} of the host's {len(among.dedicated)} dedicated CPUs are free, {needed} are needed")
    node_of_guest = {cpu: number for number, node in enumerate(numa_nodes) for cpu in node.cpus}
    if not numa_nodes:
        ordered = _on_one_node(ordered, needed, known)
    found = {}
    for cpu in policy.dedicated:
        node = node_of_guest.get(cpu)
        choice = next((one for one in ordered if node is None or known.node_of.get(one, 0) == node), None)
        if choice is None:
            raise NoneFree(f"hw:numa_nodes: node {node} of the host has too few free dedicated CPUs")
        ordered.remove(choice)
        found[cpu] = choice
    if policy.emulator == "isolate":
        return CpuPinning(found, (ordered[0],))
    if policy.emulator == "share" or not policy.dedicated:
        return CpuPinning(found, ())
    ordinary = [cpu for guest, cpu in found.items() if guest not in policy.realtime]
    return CpuPinning(found, tuple(sorted(ordinary or found.values())))


def _free_of_core(cpu: int, free: Collection[int], known: Layout) -> int:
    return len(known.core_of(cpu) & set(free))


def _on_one_node(ordered: list[int], needed: int, known: Layout) -> list[int]:
    """Those of the node with the least that is enough, then all others."""
    nodes: dict[int, list[int]] = {}
    for cpu in ordered:
        nodes.setdefault(known.node_of.get(cpu, 0), []).append(cpu)
    fitting = min((cpus for cpus in nodes.values() if len(cpus) >= needed), key=len, default=[])
    return fitting + [cpu for cpu in ordered if cpu not in fitting]


def as_placement(own: CpuPinning, known: Layout, *, page_kib: int | None, nics: dict[str, str]) -> GuestPlacement:
    """As the API asks for it; `page_kib` None: the kernel's ordinary pages."""
    return GuestPlacement(
        pins={str(guest): cpu for guest, cpu in own.cpus.items()},
        nodes={str(guest): known.node_of.get(cpu, 0) for guest, cpu in own.cpus.items()},
        page_kib=page_kib or os.sysconf("SC_PAGE_SIZE") >> 10, nics=nics)
