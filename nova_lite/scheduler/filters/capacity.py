# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts without enough CPUs, memory or disk left to sell."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def has_cores(host: Host, request: PlacementRequest) -> str | None:
    """CPUs may be oversold by `cpu_allocation_ratio`, but one guest never has more than the host."""
    if request.vcpus > host.vcpus:
        return f"fewer CPUs than the flavor: {request.vcpus} asked, the host has {host.vcpus}"
    if request.vcpus > host.vcpus_free:
        return f"not enough CPUs: {request.vcpus} asked, {max(0, int(host.vcpus_free))} left"
    return None


def has_memory(host: Host, request: PlacementRequest) -> str | None:
    """Memory may be oversold by `ram_allocation_ratio`."""
    if request.ram_mb <= host.ram_mb_free:
        return None
    return f"not enough memory: {request.ram_mb} MB asked, {max(0, int(host.ram_mb_free))} MB left"


def has_disk(host: Host, request: PlacementRequest) -> str | None:
    """Disk may be oversold by `disk_allocation_ratio`."""
    if request.disk_gb <= host.disk_gb_free:
        return None
    return f"not enough disk: {request.disk_gb} GB asked, {max(0, int(host.disk_gb_free))} GB left"
