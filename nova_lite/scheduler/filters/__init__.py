# SPDX-License-Identifier: Apache-2.0
"""The filters, in the order in which they check a host: cheap ones and those with the clearest reasons first.

A filter is a pure function `(host, request) -> str | None`: the reason why the host is refused, or None.
Reasons that are equal up to a colon count as one in the explanation, so put details behind a colon.
docs/scheduler.md maps them to Nova's.
"""

from collections.abc import Callable

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.filters import (
    affinity,
    aggregates,
    architecture,
    availability_zone,
    capacity,
    hardware,
    requested_host,
    retry,
    service,
    volumes,
)
from nova_lite.scheduler.view import Host

Filter = Callable[[Host, PlacementRequest], str | None]

FILTERS: tuple[Filter, ...] = (
    retry.is_not_tried,
    requested_host.is_requested_host,
    service.is_enabled,
    service.is_up,
    availability_zone.is_in_availability_zone,
    aggregates.accepts_project,
    aggregates.accepts_image,
    aggregates.has_extra_specs,
    volumes.reaches_volumes,
    architecture.runs_architecture,
    hardware.has_traits,
    hardware.has_numa_nodes,
    affinity.has_the_group,
    affinity.is_below_group_limit,
    affinity.is_same_host,
    affinity.is_different_host,
    capacity.has_cores,
    capacity.has_memory,
    capacity.has_disk,
    hardware.has_dedicated_cpus,
    hardware.has_huge_pages,
)
