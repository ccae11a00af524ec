# SPDX-License-Identifier: Apache-2.0
"""Availability zones: those of aggregates, and for other hosts those that their workers say."""

from __future__ import annotations

from nova_lite.api.compute.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.hosts import host_lists, hosts
from nova_lite.db.hosts.hosts import Service


def _zones(req: Request) -> dict[str, list[Service]]:
    found: dict[str, list[Service]] = {}
    zones = host_lists.zones(req.db)
    for service in hosts.services(req.db):
        found.setdefault(host_lists.zone_of(service, zones), []).append(service)
    return found


def _zone(name: str, services: list[Service], shown: Body | None) -> Body:
    is_open = any(not service.disabled for service in services)
    return {"zoneName": name, "zoneState": {"available": is_open}, "hosts": shown}


@route("GET", "/os-availability-zone", policy=Rule("os_compute_api:os-availability-zone:list", ANYONE))
def index(req: Request) -> Body:
    """The zones that servers may be put in."""
    zones = [(name, services) for name, services in sorted(_zones(req).items()) if name != host_lists.INTERNAL]
    return {"availabilityZoneInfo": [_zone(name, services, None) for name, services in zones]}


@route("GET", "/os-availability-zone/detail", policy=Rule("os_compute_api:os-availability-zone:detail", ADMIN))
def detail(req: Request) -> Body:
    """All zones with their hosts and daemons."""
    return {"availabilityZoneInfo": [
        _zone(name, services, _hosts(req, services)) for name, services in sorted(_zones(req).items())]}


def _hosts(req: Request, services: list[Service]) -> Body:
    now, down_time_s = utcnow(), req.conf.service_down_time
    found: Body = {}
    for service in services:
        found.setdefault(service.host, {})[service.binary] = {
            "available": hosts.is_alive(service, now=now, down_time_s=down_time_s),
            "active": not service.disabled, "updated_at": micros(service.seen_at)}
    return found
