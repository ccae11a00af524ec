# SPDX-License-Identifier: Apache-2.0
"""Prefers hosts with more room left, so that load spreads."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host


def free_memory(host: Host, request: PlacementRequest) -> float:  # noqa: ARG001 - every weigher has this shape
    """The share of memory not sold yet."""
    return host.ram_mb_free / host.ram_mb_total if host.ram_mb_total else 0.0


def free_cores(host: Host, request: PlacementRequest) -> float:  # noqa: ARG001 - every weigher has this shape
    """The share of CPUs not sold yet."""
    return host.vcpus_free / host.vcpus_total if host.vcpus_total else 0.0
