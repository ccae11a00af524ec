# SPDX-License-Identifier: Apache-2.0
"""Whether a zone and a host that a request names are there, and agree."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.hosts import hosts


def check(req: Request, *, zone: str | None, host: str | None = None) -> None:
    """:raises errors.BadRequest: no such zone or host, or the host is not in the zone."""
    if zone is None and host is None:
        return
    known = hosts.hosts(req.db)
    if zone is not None and zone not in {found.availability_zone for found in known}:
        raise errors.BadRequest(reason="The requested availability zone is not available")
    among = [found for found in known if host in (None, found.name)]
    if not among:
        raise errors.BadRequest(reason=f"Compute host {host} could not be found.")
    if zone is not None and all(found.availability_zone != zone for found in among):
        raise errors.BadRequest(reason=f"Host '{host}' is not in availability zone '{zone}'.")
