# SPDX-License-Identifier: Apache-2.0
"""Divides a guest's CPUs into sockets, cores and threads, and its CPUs and memory into NUMA nodes."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.hardware import extra_specs
from nova_lite.values.hardware import NumaNode, Topology


def choose(
    vcpus: int, *, preferred: tuple[int | None, int | None, int | None], limits: tuple[int | None, int | None, int | None]
) -> Topology | None:
    """The division into (sockets, cores, threads) nearest to `preferred` within `limits`; None: neither is given.

    As in Nova preferences are ignored where the number of CPUs does not allow them; limits are not.

    :raises errors.BadRequest: no division is within the limits.
    """
    if not any(preferred) and not any(limits):
        return None
    max_sockets, max_cores, max_threads = (limit or vcpus for limit in limits)
    possible = [
        Topology(sockets, cores, vcpus // (sockets * cores))
        for sockets in range(1, min(vcpus, max_sockets) + 1) if vcpus % sockets == 0
        for cores in range(1, min(vcpus // sockets, max_cores) + 1) if vcpus // sockets % cores == 0
    ]
    possible = [division for division in possible if division.threads <= max_threads]
    if not possible:
        raise errors.BadRequest(reason=(
            f"hw:cpu_max_sockets, hw:cpu_max_cores and hw:cpu_max_threads allow no division of {vcpus} CPUs"))

    def nearness(division: Topology) -> tuple[int, int, int]:
        parts = (division.sockets, division.cores, division.threads)
        matches = sum(value == part for value, part in zip(preferred, parts, strict=True) if value)
        return matches, division.sockets, division.cores

    return max(possible, key=nearness)


def numa_nodes(count: int | None, *, vcpus: int, ram_mb: int, specs: Mapping[str, str], image: Mapping[str, str]) -> tuple[NumaNode, ...]:
    """The guest's NUMA nodes; empty: none are configured.

    :raises errors.BadRequest: CPUs or memory cannot be divided evenly, or the explicit division does not add up.
    """
    if count is None:
        return ()
    if count > min(vcpus, extra_specs.MAX_NUMA_NODES):
        raise errors.BadRequest(reason=f"hw:numa_nodes={count}: a guest has at most as many NUMA nodes as CPUs, here {vcpus}")
    explicit = [_explicit(number, specs, image) for number in range(count)]
    if not any(cpus is not None or memory is not None for cpus, memory in explicit):
        if vcpus % count or ram_mb % count:
            raise errors.BadRequest(reason=(
                f"hw:numa_nodes={count}: {vcpus} CPUs and {ram_mb} MiB cannot be divided evenly; set hw:numa_cpus.N "
                "and hw:numa_mem.N"))
        share = vcpus // count
        return tuple(NumaNode(tuple(range(n * share, (n + 1) * share)), ram_mb // count) for n in range(count))
    nodes = tuple(NumaNode(cpus, memory) for cpus, memory in explicit if cpus is not None and memory is not None)
    if len(nodes) != count:
        raise errors.BadRequest(reason="hw:numa_cpus.N and hw:numa_mem.N: set both for every node, or none")
    if sorted(cpu for node in nodes for cpu in node.cpus) != list(range(vcpus)):
        raise errors.BadRequest(reason=f"hw:numa_cpus.N: together they must have each of CPUs 0 to {vcpus - 1} once")
    if sum(node.memory_mb for node in nodes) != ram_mb:
        raise errors.BadRequest(reason=f"hw:numa_mem.N: together they must be the flavor's {ram_mb} MiB")
    return nodes


def _explicit(number: int, specs: Mapping[str, str], image: Mapping[str, str]) -> tuple[tuple[int, ...] | None, int | None]:
    cpus = memory = None
    for name, source in ((f"hw:numa_cpus.{number}", specs), (f"hw_numa_cpus.{number}", image)):
        if cpus is None and name in source:
            cpus = parse_cpus(name, str(source[name]))
    for name, source in ((f"hw:numa_mem.{number}", specs), (f"hw_numa_mem.{number}", image)):
        if memory is None and name in source:
            memory = extra_specs.count(name, str(source[name]), least=1)
    return cpus, memory


def parse_cpus(name: str, text: str) -> tuple[int, ...]:
    """CPU numbers of a list such as `0-3,^2,8`.

    :raises errors.BadRequest: it is not such a list.
    """
    if len(text) > extra_specs.MAX_CPU_LIST:
        raise extra_specs.refuse(name, text, f"use at most {extra_specs.MAX_CPU_LIST} characters")
    included: set[int] = set()
    excluded: set[int] = set()
    for part in text.replace(" ", "").split(","):
        bare = part.removeprefix("^")
        first, dash, last = bare.partition("-")
        if not bare.isascii() or not first.isdecimal() or (dash and not last.isdecimal()) or len(bare) > 11:
            raise extra_specs.refuse(name, text, "use a list of CPU numbers such as 0-3,^2,8")
        low, high = int(first), int(last or first)
        if high >= extra_specs.MAX_CPUS:  # the list is built in memory
            raise extra_specs.refuse(name, text, f"CPUs have numbers from 0 to {extra_specs.MAX_CPUS - 1}")
        (excluded if part.startswith("^") else included).update(range(low, high + 1))
    return tuple(sorted(included - excluded))
