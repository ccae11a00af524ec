# SPDX-License-Identifier: Apache-2.0
"""Calls to a scheduler: choose and claim a host for a server; check and grow the claim of a resize."""

from __future__ import annotations

import dataclasses
from typing import Any

from nova_lite.context import Context
from nova_lite.rpc.interface import Interface, call
from nova_lite.rpc.payload import payload, wire
from nova_lite.values.resources import Resources

# A scheduler at work on a request says so: after so long without a word the request or its answer is lost. It is safe to send
# again, since a claim is the server's.
ANSWER_LOST_S = 5


@payload(version=5)
class PlacementRequest:
    """What a server requires of its host. The amounts are those of nova_lite.values.resources.Resources;
    `page_size_kib`, `numa_nodes_mb` and traits are those of nova_lite.hardware.resource_request.

    `excluded` are hosts already tried; `forced_host` is the only one allowed (filters still apply).
    `group_policy` and `group_max_per_host` are those of its server group. `same_host`, `different_host`: ids of servers.
    `migration`: number of the server migration that a resize claims for, so that a late request changes nothing.
    `volume_agent`: the worker of the only host from which its volumes are reached.
    """

    server_id: str
    project_id: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    architecture: str | None = None
    availability_zone: str | None = None
    excluded: tuple[str, ...] = ()
    forced_host: str | None = None
    group_id: str | None = None
    group_policy: str | None = None
    group_max_per_host: int = 1
    same_host: tuple[str, ...] = ()
    different_host: tuple[str, ...] = ()
    image_properties: dict[str, str] = dataclasses.field(default_factory=dict)
    extra_specs: dict[str, str] = dataclasses.field(default_factory=dict)
    pcpus: int = 0
    hugepages_mb: int = dataclasses.field(default=0, metadata=wire("huge_mb"))
    page_size_kib: int = dataclasses.field(default=0, metadata=wire("page_kib"))
    numa_nodes_mb: tuple[int, ...] = dataclasses.field(default=(), metadata=wire("cells"))
    required_traits: tuple[str, ...] = dataclasses.field(default=(), metadata=wire("requires"))
    forbidden_traits: tuple[str, ...] = dataclasses.field(default=(), metadata=wire("forbids"))
    migration: int | None = None
    volume_agent: str | None = None

    @property
    def resources(self) -> Resources:
        """What the server takes of its host."""
        return Resources(vcpus=self.vcpus, ram_mb=self.ram_mb, disk_gb=self.disk_gb, pcpus=self.pcpus,
                         hugepages_mb=self.hugepages_mb)

    def with_resources(self, resources: Resources) -> PlacementRequest:
        """The request with these resources instead."""
        amounts: dict[str, Any] = resources.amounts()
        return dataclasses.replace(self, **amounts)


@payload(version=1)
class PoolRequest:
    """What a volume requires of its pool. `extra_specs`: those of its type. `excluded`: pools already tried.

    `forced_pool` is the only one allowed (filters still apply); `forced_backend`, `agent@backend`, has what it is copied from.
    `agent`: the host whose guests are to reach it.
    """

    volume_id: str
    project_id: str
    size_gb: int
    availability_zone: str | None = None
    extra_specs: dict[str, str] = dataclasses.field(default_factory=dict)
    is_shared: bool = False
    excluded: tuple[str, ...] = ()
    forced_pool: str | None = None
    forced_backend: str | None = None
    agent: str | None = None


@payload(version=1)
class PoolPlacement:
    """The claimed pool, `agent@backend#pool`, and the availability zone of its worker."""

    pool: str
    availability_zone: str


@payload(version=1)
class Placement:
    """The claimed host; `agent` is the name that its workers listen under on the message bus."""

    host: str
    agent: str
    availability_zone: str


class SchedulerRpc(Interface):
    """Calls to a scheduler."""

    topic, version = "scheduler", "1.2"

    @call(since="1.0", timeout_s=30, monitor_s=ANSWER_LOST_S)
    def pick_host(self, ctxt: Context, *, request: PlacementRequest) -> Placement:
        """Choose a host and claim the server's resources on it; an existing claim is returned again.

        :raises errors.NoValidHost: with, per filter, how many hosts it refused and the nearest fit.
        """
        ...

    @call(since="1.1", timeout_s=30, monitor_s=ANSWER_LOST_S)
    def resize_claim(self, ctxt: Context, *, request: PlacementRequest) -> None:
        """Let the server's claim on its host, the request's `forced_host`, become as large as the request.

        All filters check that host; what the server has there counts as free. Delivered again, nothing changes.

        :raises errors.NoValidHost: with the filter that refused the host, and why.
        :raises errors.StaleRequest: the request's `migration` is past the step that claims.
        """

    @call(since="1.2", timeout_s=30, monitor_s=ANSWER_LOST_S)
    def pick_pool(self, ctxt: Context, *, request: PoolRequest) -> PoolPlacement:
        """Choose a pool and claim the volume's size of it; an existing claim is returned again.

        :raises errors.NoValidBackend: with, per filter, how many pools it refused and the nearest fit.
        :raises errors.NotFound: the volume was deleted.
        """
        ...
