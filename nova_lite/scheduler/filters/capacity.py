# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts without enough free CPUs, memory or disk."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def has_cores(host: Host, request: PlacementRequest) -> str | None:
    """CPUs may be overcommitted by `cpu_allocation_ratio`, but no guest has more than the host.

    Placement's VCPU in Nova, once its CoreFilter.
    """
    if request.vcpus > host.vcpus:
        return f"fewer CPUs than the flavor: {request.vcpus} requested, the host has {host.vcpus}"
    free = max(0, host.free.vcpus)
    return f"not enough CPUs: {request.vcpus} requested, {free} free" if request.vcpus > free else None


def has_memory(host: Host, request: PlacementRequest) -> str | None:
    """Memory may be overcommitted by `ram_allocation_ratio`. Placement's MEMORY_MB in Nova, once its RamFilter."""
    free = max(0, host.free.ram_mb)
    return f"not enough memory: {request.ram_mb} MB requested, {free} MB free" if request.ram_mb > free else None


def has_disk(host: Host, request: PlacementRequest) -> str | None:
    """Disk may be overcommitted by `disk_allocation_ratio`. Placement's DISK_GB in Nova, once its DiskFilter."""
    free = max(0, host.free.disk_gb)
    return f"not enough disk: {request.disk_gb} GB requested, {free} GB free" if request.disk_gb > free else None
