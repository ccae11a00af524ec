# SPDX-License-Identifier: Apache-2.0
"""The filters, in the order in which they are asked: cheap and telling ones first.

A filter is a pure function `(host, request) -> str | None`: the reason why the host will not do, or None.
A reason that begins with the same words counts as one in the report, so put what differs behind a colon.
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
    service,
)
from nova_lite.scheduler.view import Host

Filter = Callable[[Host, PlacementRequest], str | None]

FILTERS: tuple[Filter, ...] = (
    requested_host.not_tried_yet,
    requested_host.is_the_forced_host,
    service.is_enabled,
    service.is_alive,
    availability_zone.is_in_zone,
    aggregates.takes_project,
    aggregates.takes_image,
    aggregates.has_extra_specs,
    architecture.runs_architecture,
    hardware.has_features,
    hardware.has_nodes,
    affinity.is_the_groups_host,
    affinity.has_place_for_the_group,
    affinity.is_beside,
    affinity.is_apart,
    capacity.has_cores,
    capacity.has_memory,
    capacity.has_disk,
    hardware.has_dedicated_cpus,
    hardware.has_huge_pages,
)
