# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts without the features, NUMA nodes, dedicated CPUs or huge pages that flavor and image ask for."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def has_features(host: Host, request: PlacementRequest) -> str | None:
    """What is required and what is forbidden: CPU features, firmware, TPM, devices, and traits that operators gave."""
    if not (request.requires or request.forbids):
        return None
    lacking = [name for name in request.requires if name not in host.offers.traits]
    if lacking:
        return f"without what the flavor or image requires: {', '.join(lacking)}"
    unwanted = [name for name in request.forbids if name in host.offers.traits]
    return f"with what the flavor forbids: {', '.join(unwanted)}" if unwanted else None


def has_nodes(host: Host, request: PlacementRequest) -> str | None:
    """Each NUMA node of the guest lies on the host's node of its number."""
    there = host.offers.cells
    if len(request.cells) > max(1, len(there)):
        return f"fewer NUMA nodes than the flavor: {len(request.cells)} asked, the host has {max(1, len(there))}"
    for number, (wanted_mb, cell) in enumerate(zip(request.cells, there, strict=False)):
        if wanted_mb > cell.memory_mb:
            return f"a NUMA node too small: {wanted_mb} MB asked of node {number}, it has {cell.memory_mb} MB"
    return None


def has_dedicated_cpus(host: Host, request: PlacementRequest) -> str | None:
    """CPUs that are one guest's alone are never oversold."""
    if request.pcpus <= max(0, host.pcpus_free):
        return None
    return f"not enough dedicated CPUs: {request.pcpus} asked, {max(0, host.pcpus_free)} left"


def has_huge_pages(host: Host, request: PlacementRequest) -> str | None:
    """Memory in pages of one size; any size that would do, where the flavor leaves it open."""
    if not request.huge_mb:
        return None
    sizes = host.offers.pages_mb
    there = sizes.get(str(request.page_kib), 0) if request.page_kib else max(sizes.values(), default=0)
    left = max(0, min(there, host.huge_mb_free))
    if request.huge_mb <= left:
        return None
    of = f" of {request.page_kib} KiB" if request.page_kib else ""
    return f"not enough huge pages{of}: {request.huge_mb} MB asked, {left} MB left"
