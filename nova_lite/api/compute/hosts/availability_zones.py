# SPDX-License-Identifier: Apache-2.0
"""Availability zones: those of aggregates, and for other hosts those that their workers report."""

from __future__ import annotations

from nova_lite.api.compute.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, NULL, OBJECT, STRING, Shape, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db import clock
from nova_lite.db.hosts import host_lists, hosts
from nova_lite.db.hosts.hosts import Service


def _response(hosts_schema: Shape) -> Shape:
    return closed(availabilityZoneInfo=many(closed(
        zoneName=STRING, zoneState=closed(available=BOOLEAN), hosts=hosts_schema)))


def _services_by_zone(req: Request) -> dict[str, list[Service]]:
    by_zone: dict[str, list[Service]] = {}
    zones = host_lists.availability_zones(req.db)
    for service in hosts.services(req.db):
        by_zone.setdefault(host_lists.az_of(service, zones), []).append(service)
    return by_zone


def _document(name: str, services: list[Service], hosts_document: Body | None) -> Body:
    is_available = any(not service.disabled for service in services)
    return {"zoneName": name, "zoneState": {"available": is_available}, "hosts": hosts_document}


@route("GET", "/os-availability-zone", policy=Rule("os_compute_api:os-availability-zone:list", ANYONE),
       response=_response(NULL))
def index(req: Request) -> Body:
    """List the zones that servers can be created in. 200."""
    zones = [(name, services) for name, services in sorted(_services_by_zone(req).items()) if name != host_lists.INTERNAL]
    return {"availabilityZoneInfo": [_document(name, services, None) for name, services in zones]}


@route("GET", "/os-availability-zone/detail", policy=Rule("os_compute_api:os-availability-zone:detail", ADMIN),
       response=_response(OBJECT))
def detail(req: Request) -> Body:
    """List all zones with their hosts, and the services on each. 200."""
    return {"availabilityZoneInfo": [
        _document(name, services, _hosts(req, services)) for name, services in sorted(_services_by_zone(req).items())]}


def _hosts(req: Request, services: list[Service]) -> Body:
    now, down_time_s = clock.read(req.db), req.conf.service_down_time
    by_host: Body = {}
    for service in services:
        by_host.setdefault(service.host, {})[service.binary] = {
            "available": hosts.is_alive(service, now=now, down_time_s=down_time_s),
            "active": not service.disabled, "updated_at": micros(service.seen_at)}
    return by_host
