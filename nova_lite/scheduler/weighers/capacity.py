# SPDX-License-Identifier: Apache-2.0
"""Prefers hosts with more free capacity, so that load spreads."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def free_memory(host: Host, request: PlacementRequest) -> float:  # noqa: ARG001 - every weigher has this shape
    """The share of memory that is not allocated. Nova's RAMWeigher."""
    return host.free.ram_mb / host.capacity.ram_mb if host.capacity.ram_mb else 0.0


def free_cores(host: Host, request: PlacementRequest) -> float:  # noqa: ARG001 - every weigher has this shape
    """The share of shared CPUs that is not allocated. Nova's CPUWeigher."""
    return host.free.vcpus / host.capacity.vcpus if host.capacity.vcpus else 0.0
