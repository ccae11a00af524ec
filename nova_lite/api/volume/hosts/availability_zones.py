# SPDX-License-Identifier: Apache-2.0
"""Availability zones of volumes: those that volume workers report."""

from __future__ import annotations

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, STRING, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db.hosts import hosts

_ZONE = closed(zoneName=STRING, zoneState=closed(available=BOOLEAN))


@route("GET", "/os-availability-zone", policy=Rule("volume_extension:availability_zone_list", READER),
       response=closed(availabilityZoneInfo=many(_ZONE)))
def index(req: Request) -> Body:
    """List the zones of volumes; one is available while one of its workers is not disabled. 200."""
    zones: dict[str, bool] = {}
    for service in hosts.services(req.db, binary=hosts.VOLUME):
        zones[service.availability_zone] = zones.get(service.availability_zone, False) or not service.disabled
    return {"availabilityZoneInfo": [{"zoneName": name, "zoneState": {"available": zones[name]}} for name in sorted(zones)]}
