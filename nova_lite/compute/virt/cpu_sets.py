# SPDX-License-Identifier: Apache-2.0
"""Which of the host's CPUs are dedicated to single guests, which all others share, and which of the former a guest gets."""

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
from nova_lite.values.instance_metadata import DevicePlace

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")


class NoneFree(ValueError):
    """There are not enough dedicated CPUs; the text says how many."""


@dataclasses.dataclass(frozen=True)
class CpuPinning:
    """The host's CPU of each dedicated CPU of the guest, and those that its emulator runs on (empty: any shared)."""

    cpus: Mapping[int, int] = dataclasses.field(default_factory=dict)
    emulator: tuple[int, ...] = ()

    @property
    def taken(self) -> frozenset[int]:
        """The host's CPUs that are this guest's alone; an emulator that shares runs on others."""
        return frozenset(self.cpus.values()) | frozenset(self.emulator)


NO_PINS = CpuPinning()


@dataclasses.dataclass(frozen=True)
class Layout:
    """Topology of a host's CPUs: the NUMA node of each, and the threads of its core, itself included."""

    node_of: Mapping[int, int] = dataclasses.field(default_factory=dict)
    siblings: Mapping[int, frozenset[int]] = dataclasses.field(default_factory=dict)

    def core_of(self, cpu: int) -> frozenset[int]:
        return self.siblings.get(cpu, frozenset((cpu,)))

    @property
    def threads(self) -> int:
        """Threads of a core."""
        return max((len(core) for core in self.siblings.values()), default=1)


@dataclasses.dataclass(frozen=True)
class CpuSets:
    """A host's CPUs: those dedicated to single guests, those shared by all others, and their topology."""

    dedicated: tuple[int, ...]
    shared: tuple[int, ...]
    layout: Layout = Layout()


def of_host(conf: cfg.ConfigOpts) -> CpuSets:
    """This machine's; none is dedicated unless its options name some.

    :raises ValueError: its options contradict each other.
    """
    return CpuSets(dedicated(conf), shared(conf), layout())


def layout() -> Layout:
    """The machine's, from its kernel."""
    siblings = {}
    for path in _CPUS.glob("cpu[0-9]*/topology/thread_siblings_list"):
        core = topology.parse_cpus(path.name, path.read_text().strip())
        siblings[int(path.parent.parent.name.removeprefix("cpu"))] = frozenset(core)
    nodes = {cpu: int(path.parent.name.removeprefix("node")) for path in _NODES.glob("node[0-9]*/cpulist")
             if (text := path.read_text().strip()) for cpu in topology.parse_cpus(path.name, text)}
    return Layout(nodes, siblings)


def dedicated(conf: cfg.ConfigOpts) -> tuple[int, ...]:
    """The host's dedicated CPUs, ascending.

    :raises ValueError: [compute] cpu_dedicated_set is no list of CPUs.
    """
    return _listed(conf, "cpu_dedicated_set")


def shared(conf: cfg.ConfigOpts, *, existing: Collection[int] | None = None) -> tuple[int, ...]:
    """The CPUs of guests without dedicated ones, ascending: cpu_shared_set, or all that are not dedicated.

    :raises ValueError: there is none, or one is dedicated too.
    """
    reserved = set(dedicated(conf))
    listed = _listed(conf, "cpu_shared_set")
    if reserved & set(listed):
        raise ValueError(f"[compute] cpu_dedicated_set and cpu_shared_set both name {sorted(reserved & set(listed))}")
    rest = tuple(listed) or tuple(sorted(set(range(os.cpu_count() or 1) if existing is None else existing) - reserved))
    if not rest:
        raise ValueError("[compute] cpu_dedicated_set leaves no CPU for other guests and the host itself")
    return rest


def refuse_absent(conf: cfg.ConfigOpts) -> None:
    """:raises ValueError: [compute] names CPUs that this machine does not have."""
    absent = {*dedicated(conf), *_listed(conf, "cpu_shared_set")} - os.sched_getaffinity(0) - set(range(os.cpu_count() or 1))
    if absent:
        raise ValueError(f"[compute] cpu_dedicated_set or cpu_shared_set names CPUs that this host does not have: {sorted(absent)}")


def _listed(conf: cfg.ConfigOpts, name: str) -> tuple[int, ...]:
    text = conf.compute[name]
    if not text:
        return ()
    try:
        return topology.parse_cpus(f"[compute] {name}", text)
    except errors.BadRequest as error:
        raise ValueError(error.text) from error


def pick(policy: CpuPolicy, *, numa_nodes: tuple[NumaNode, ...], free: Collection[int], among: CpuSets) -> CpuPinning:
    """CPUs for a guest, of those that no other guest has.

    Free cores first, so that two guests seldom share one; on one NUMA node if it has enough, or on those of `numa_nodes`.

    :raises NoneFree: there are not enough.
    """
    needed, cpus = policy.host_cpus, among.layout
    ordered = sorted(free, key=lambda cpu: (cpus.node_of.get(cpu, 0), -_free_of_core(cpu, free, cpus), min(cpus.core_of(cpu)), cpu))
    if len(ordered) < needed:
        raise NoneFree(f"hw:cpu_policy: {len(ordered)} of the host's {len(among.dedicated)} dedicated CPUs are free, {needed} are needed")
    node_of_guest = {cpu: number for number, node in enumerate(numa_nodes) for cpu in node.cpus}
    if not numa_nodes:
        ordered = _on_one_node(ordered, needed, cpus)
    pinned = {}
    for cpu in policy.dedicated:
        node = node_of_guest.get(cpu)
        choice = next((one for one in ordered if node is None or cpus.node_of.get(one, 0) == node), None)
        if choice is None:
            raise NoneFree(f"hw:numa_nodes: node {node} of the host has too few free dedicated CPUs")
        ordered.remove(choice)
        pinned[cpu] = choice
    if policy.emulator == "isolate":
        return CpuPinning(pinned, (ordered[0],))
    if policy.emulator == "share" or not policy.dedicated:
        return CpuPinning(pinned, ())
    ordinary = [cpu for guest, cpu in pinned.items() if guest not in policy.realtime]
    return CpuPinning(pinned, tuple(sorted(ordinary or pinned.values())))


def _free_of_core(cpu: int, free: Collection[int], layout: Layout) -> int:
    return len(layout.core_of(cpu) & set(free))


def _on_one_node(ordered: list[int], needed: int, layout: Layout) -> list[int]:
    """First those of the node that has enough and the fewest, then all others."""
    nodes: dict[int, list[int]] = {}
    for cpu in ordered:
        nodes.setdefault(layout.node_of.get(cpu, 0), []).append(cpu)
    fitting = min((cpus for cpus in nodes.values() if len(cpus) >= needed), key=len, default=[])
    return fitting + [cpu for cpu in ordered if cpu not in fitting]


def as_placement(
    own: CpuPinning, layout: Layout, *, page_kib: int | None, nics: dict[str, str], disks: dict[str, DevicePlace]
) -> GuestPlacement:
    """As the API shows it; `page_kib` None: the kernel's ordinary pages."""
    return GuestPlacement(
        pins={str(guest): cpu for guest, cpu in own.cpus.items()},
        nodes={str(guest): layout.node_of.get(cpu, 0) for guest, cpu in own.cpus.items()},
        page_kib=page_kib or os.sysconf("SC_PAGE_SIZE") >> 10, nics=nics, disks=disks)
