# SPDX-License-Identifier: Apache-2.0
"""Makes a placement request of a server's row: its resources, and all that limits the hosts that it may run on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.compute import server_groups
from nova_lite.db.compute.server_groups import ServerGroup
from nova_lite.db.compute.servers import Server
from nova_lite.hardware import resource_request as resource_requests
from nova_lite.hardware.resource_request import ResourceRequest
from nova_lite.rpc.scheduler import PlacementRequest


def request(
    session: Session, server: Server, *, excluded: Iterable[str] = (), resource_request: ResourceRequest | None = None,
) -> PlacementRequest:
    """The server's request; `excluded`: hosts that are refused. `resource_request`: instead of that of its flavor."""
    group = _group(session, server)
    scheduler_hints = server.scheduler_hints or {}
    extra_specs = dict(server.flavor.extra_specs)
    required = resource_request or resource_requests.of(
        specs=extra_specs, image=server.image_properties, vcpus=server.vcpus, ram_mb=server.ram_mb, disk_gb=server.total_gb)
    amounts: dict[str, Any] = required.resources.amounts()
    return PlacementRequest(
        server_id=server.id, project_id=server.project_id, **amounts, page_size_kib=required.page_size_kib,
        numa_nodes_mb=required.numa_nodes_mb, required_traits=required.required_traits,
        forbidden_traits=required.forbidden_traits, architecture=server.image_properties.get("hw_architecture"),
        availability_zone=server.requested_az, excluded=tuple(excluded), forced_host=server.requested_host,
        group_id=group.id if group else None, group_policy=group.policy if group else None,
        group_max_per_host=(group.max_per_host if group else None) or 1,
        same_host=_ids(scheduler_hints.get("same_host")),
        different_host=_ids(scheduler_hints.get("different_host")),
        image_properties=dict(server.image_properties), extra_specs=extra_specs,
    )


def _group(session: Session, server: Server) -> ServerGroup | None:
    if server.group_id is None:
        return None
    try:
        return server_groups.get(session, server.group_id, project_id=None)
    except errors.NotFound:  # deleted since
        return None


def _ids(value: str | list[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
