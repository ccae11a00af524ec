# SPDX-License-Identifier: Apache-2.0
"""The filters of pools, in their order: pure functions `(pool, request) -> str | None`, the reason why the pool is refused, or None.

Reasons that are equal up to a colon count as one in the explanation. docs/scheduler.md maps them to Cinder's.
"""

from collections.abc import Callable

from nova_lite.rpc.scheduler import PoolRequest
from nova_lite.scheduler.volumes.view import PoolView
from nova_lite.values.pool_capabilities import unmet

PoolFilter = Callable[[PoolView, PoolRequest], str | None]
_ZONES = "RESKEY:availability_zones"


def is_not_tried(pool: PoolView, request: PoolRequest) -> str | None:
    """Each pool gets one attempt per action."""
    return "already tried" if pool.name in request.excluded else None


def is_requested_pool(pool: PoolView, request: PoolRequest) -> str | None:
    """A copy of a snapshot or a volume is made where its source is; an administrator may name a pool."""
    if request.forced_pool not in (None, pool.name):
        return "not the requested pool"
    backend = pool.name.partition("#")[0]
    return None if request.forced_backend in (None, backend) else "not the backend that has the source"


def is_enabled(pool: PoolView, request: PoolRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """`openstack volume service set --disable` takes a worker's pools out of scheduling."""
    return None if pool.is_enabled else "disabled by an operator"


def is_up(pool: PoolView, request: PoolRequest) -> str | None:  # noqa: ARG001 - every filter has this shape
    """A worker that sends no heartbeats gets no volumes."""
    return None if pool.is_up else "nova-volume is down"


def is_in_availability_zone(pool: PoolView, request: PoolRequest) -> str | None:
    """The requested zone, and those that the type allows. Cinder's AvailabilityZoneFilter."""
    if request.availability_zone not in (None, pool.availability_zone):
        return f"in another availability zone: {request.availability_zone} requested"
    allowed = [zone.strip() for zone in request.extra_specs.get(_ZONES, "").split(",") if zone.strip()]
    return f"in no availability zone of the volume type: {', '.join(allowed)}" if allowed and pool.availability_zone not in allowed else None


def reaches_host(pool: PoolView, request: PoolRequest) -> str | None:
    """A pool that QEMU opens as files serves guests of its own host only."""
    return "reached by guests of another host only" if pool.reach == "host" and request.agent not in (None, pool.agent) else None


def has_capabilities(pool: PoolView, request: PoolRequest) -> str | None:
    """Extra specs without scope, or of scope `capabilities`, are matched with what the pool reports. Cinder's CapabilitiesFilter."""
    spec = unmet(pool.capabilities, request.extra_specs)
    return None if spec is None else f"not what the volume type requires: {spec}"


def shares_volumes(pool: PoolView, request: PoolRequest) -> str | None:
    """A volume that several servers may have needs a pool that can."""
    return "cannot attach a volume to several servers" if request.is_shared and not pool.capabilities.get("multiattach") else None


def has_capacity(pool: PoolView, request: PoolRequest) -> str | None:
    """What volumes claim stays within the pool's size, over-subscribed if it is thin. Cinder's CapacityFilter."""
    if request.size_gb > pool.left_gb:
        return f"not enough capacity: {request.size_gb} GiB requested, {pool.left_gb} GiB left"
    return None


def has_free_space(pool: PoolView, request: PoolRequest) -> str | None:
    """A thin pool that is really almost full gets no more; a thick one has the volume's size free. Cinder's thin test does not look."""
    needed_gb = pool.floor_gb if pool.is_thin else pool.floor_gb + request.size_gb
    return None if pool.free_gb >= needed_gb else f"not enough free space: {pool.free_gb:.1f} GiB free, {needed_gb:g} GiB needed"


FILTERS: tuple[PoolFilter, ...] = (
    is_not_tried,
    is_requested_pool,
    is_enabled,
    is_up,
    is_in_availability_zone,
    reaches_host,
    has_capabilities,
    shares_volumes,
    has_capacity,
    has_free_space,
)
