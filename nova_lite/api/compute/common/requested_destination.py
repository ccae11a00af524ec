# SPDX-License-Identifier: Apache-2.0
"""Checks of the availability zone and the host that a request names."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.hosts import hosts


def check(req: Request, *, zone: str | None, host: str | None = None) -> None:
    """:raises errors.BadRequest: no such zone or host, or the host is not in the zone."""
    if zone is None and host is None:
        return
    all_hosts = hosts.hosts(req.db)
    if zone is not None and zone not in {row.availability_zone for row in all_hosts}:
        raise errors.BadRequest(reason="The requested availability zone is not available")
    candidates = [row for row in all_hosts if host in (None, row.name)]
    if not candidates:
        raise errors.BadRequest(reason=f"Compute host {host} could not be found.")
    if zone is not None and all(row.availability_zone != zone for row in candidates):
        raise errors.BadRequest(reason=f"Host '{host}' is not in availability zone '{zone}'.")
