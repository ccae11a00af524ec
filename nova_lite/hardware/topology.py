# SPDX-License-Identifier: Apache-2.0
"""Sockets, cores and threads, and NUMA nodes of a guest: how its CPUs and memory are divided."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from nova_lite import errors
from nova_lite.hardware import extra_specs


@dataclasses.dataclass(frozen=True)
class Topology:
    sockets: int
    cores: int
    threads: int


@dataclasses.dataclass(frozen=True)
class Cell:
    """One NUMA node of a guest."""

    cpus: tuple[int, ...]
    memory_mb: int


def choose(
    vcpus: int, *, wanted: tuple[int | None, int | None, int | None], most: tuple[int | None, int | None, int | None]
) -> Topology | None:
    """The division into (sockets, cores, threads) nearest to `wanted` within `most`; None: nothing was asked for.

    As in Nova what is wanted is given up where the number of CPUs does not allow it; the limits are not.

    :raises errors.BadRequest: no division keeps the limits.
    """
    if not any(wanted) and not any(most):
        return None
    limits = [limit or vcpus for limit in most]
    possible = [
        Topology(sockets, cores, vcpus // (sockets * cores))
        for sockets in range(1, min(vcpus, limits[0]) + 1) if vcpus % sockets == 0
        for cores in range(1, min(vcpus // sockets, limits[1]) + 1) if vcpus // sockets % cores == 0
    ]
    possible = [found for found in possible if found.threads <= limits[2]]
    if not possible:
        raise errors.BadRequest(reason=(
            f"hw:cpu_max_sockets, hw:cpu_max_cores and hw:cpu_max_threads leave no way to divide {vcpus} CPUs"))

    def nearness(found: Topology) -> tuple[int, int, int]:
        parts = (found.sockets, found.cores, found.threads)
        matches = sum(want == part for want, part in zip(wanted, parts, strict=True) if want)
        return matches, found.sockets, found.cores

    return max(possible, key=nearness)


def cells(nodes: int | None, *, vcpus: int, ram_mb: int, specs: Mapping[str, str], image: Mapping[str, str]) -> tuple[Cell, ...]:
    """The guest's NUMA nodes; empty: it is not to see any.

    :raises errors.BadRequest: CPUs or memory do not fall evenly, or the explicit division does not add up.
    """
    if nodes is None:
        return ()
    given = [_given(number, specs, image) for number in range(nodes)]
    if not any(cpus is not None or memory is not None for cpus, memory in given):
        if vcpus % nodes or ram_mb % nodes:
            raise errors.BadRequest(reason=(
                f"hw:numa_nodes={nodes}: {vcpus} CPUs and {ram_mb} MiB do not fall evenly on them; say hw:numa_cpus.N "
                "and hw:numa_mem.N"))
        share = vcpus // nodes
        return tuple(Cell(tuple(range(n * share, (n + 1) * share)), ram_mb // nodes) for n in range(nodes))
    made = tuple(Cell(cpus, memory) for cpus, memory in given if cpus is not None and memory is not None)
    if len(made) != nodes:
        raise errors.BadRequest(reason="hw:numa_cpus.N and hw:numa_mem.N: give both for every node, or none")
    if sorted(cpu for cell in made for cpu in cell.cpus) != list(range(vcpus)):
        raise errors.BadRequest(reason=f"hw:numa_cpus.N: together they must name each of CPUs 0 to {vcpus - 1} once")
    if sum(cell.memory_mb for cell in made) != ram_mb:
        raise errors.BadRequest(reason=f"hw:numa_mem.N: together they must be the flavor's {ram_mb} MiB")
    return made


def _given(number: int, specs: Mapping[str, str], image: Mapping[str, str]) -> tuple[tuple[int, ...] | None, int | None]:
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

    :raises errors.BadRequest: it is no such list.
    """
    kept: set[int] = set()
    dropped: set[int] = set()
    for part in text.replace(" ", "").split(","):
        bare = part.removeprefix("^")
        first, dash, last = bare.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(bare) > 11:
            raise extra_specs.refuse(name, text, "it is a list of CPU numbers such as 0-3,^2,8")
        low, high = int(first), int(last or first)
        if high - low > 4096:  # nobody has as many; the list is built in memory
            raise extra_specs.refuse(name, text, "the range is too long")
        (dropped if part.startswith("^") else kept).update(range(low, high + 1))
    return tuple(sorted(kept - dropped))
