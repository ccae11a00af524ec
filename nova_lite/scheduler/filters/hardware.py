# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts without the traits, NUMA nodes, dedicated CPUs or huge pages that flavor and image require."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def has_traits(host: Host, request: PlacementRequest) -> str | None:
    """All required traits and no forbidden one: CPU features, firmware, TPM, devices, and those that operators gave.

    Placement's required traits in Nova; what its ComputeCapabilitiesFilter and PciPassthroughFilter check is here a trait
    that no host has.
    """
    if not (request.required_traits or request.forbidden_traits):
        return None
    missing = [name for name in request.required_traits if name not in host.capabilities.traits]
    if missing:
        return f"without what the flavor or image requires: {', '.join(missing)}"
    present = [name for name in request.forbidden_traits if name in host.capabilities.traits]
    return f"with what the flavor forbids: {', '.join(present)}" if present else None


def has_numa_nodes(host: Host, request: PlacementRequest) -> str | None:
    """Each NUMA node of the guest fits on the host's node of the same number. Nova's NUMATopologyFilter."""
    nodes, count = host.capabilities.numa_nodes, len(request.numa_nodes_mb)
    if count > max(1, len(nodes)):
        return f"fewer NUMA nodes than the flavor: {count} requested, the host has {max(1, len(nodes))}"
    for number, (required_mb, node) in enumerate(zip(request.numa_nodes_mb, nodes, strict=False)):
        if required_mb > node.memory_mb:
            return f"a NUMA node too small: {required_mb} MB requested of node {number}, it has {node.memory_mb} MB"
    return None


def has_dedicated_cpus(host: Host, request: PlacementRequest) -> str | None:
    """Dedicated CPUs are never overcommitted. Placement's PCPU in Nova."""
    free = max(0, host.free.pcpus)
    return f"not enough dedicated CPUs: {request.pcpus} requested, {free} free" if request.pcpus > free else None


def has_huge_pages(host: Host, request: PlacementRequest) -> str | None:
    """Memory in pages of one size, of any size where the flavor leaves it open. Part of Nova's NUMATopologyFilter."""
    if not request.hugepages_mb:
        return None
    sizes = host.capabilities.hugepages_mb
    total = sizes.get(str(request.page_size_kib), 0) if request.page_size_kib else max(sizes.values(), default=0)
    free = max(0, min(total, host.free.hugepages_mb))
    if request.hugepages_mb <= free:
        return None
    size = f" of {request.page_size_kib} KiB" if request.page_size_kib else ""
    return f"not enough huge pages{size}: {request.hugepages_mb} MB requested, {free} MB free"
