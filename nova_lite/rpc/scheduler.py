# SPDX-License-Identifier: Apache-2.0
"""What other services may ask of a scheduler: one host for one server, claimed; and whether it would do for more."""

from __future__ import annotations

import dataclasses

from nova_lite.context import Context
from nova_lite.rpc.interface import Interface, call
from nova_lite.rpc.payload import payload


@payload(version=3)
class PlacementRequest:
    """What a server needs of its host. `disk_gb` counts root, ephemeral and swap.

    `vcpus` are shared with others; `pcpus`, `huge_mb`, `page_kib`, `cells`, `requires` and `forbids` are as in
    nova_lite.hardware.resource_request.

    `excluded` are hosts already tried; `forced_host` is the only one allowed (filters still apply).
    `group_policy` and `group_max_per_host` are those of its server group. `same_host`, `different_host`: ids of servers.
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
    huge_mb: int = 0
    page_kib: int = 0
    cells: tuple[int, ...] = ()
    requires: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()


@payload(version=1)
class Placement:
    """The claimed host; `agent` is the name that its workers listen under on the message bus."""

    host: str
    agent: str
    availability_zone: str


class SchedulerRpc(Interface):
    """What other services may ask of a scheduler."""

    topic, version = "scheduler", "1.1"

    @call(since="1.0", timeout_s=30)
    def pick_host(self, ctxt: Context, *, request: PlacementRequest) -> Placement:
        """Choose a host and claim its room for the server; a claim that is there already is returned again.

        :raises errors.NoValidHost: with, per filter, how many hosts it refused and the nearest fit.
        """
        ...

    @call(since="1.1", timeout_s=30)
    def resize_claim(self, ctxt: Context, *, request: PlacementRequest) -> None:
        """Let the server's claim on its host, the request's `forced_host`, become as large as the request.

        All filters are asked about that host; what the server has there counts as free. Asked again, nothing changes.

        :raises errors.NoValidHost: with the filter that refused the host, and why.
        """
