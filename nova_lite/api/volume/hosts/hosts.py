# SPDX-License-Identifier: Apache-2.0
"""Hosts of block storage, and what projects have on them."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common.links import micros
from nova_lite.api.volume.hosts import daemons
from nova_lite.api.volume.hosts.daemons import Daemon
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, TIME_OR_NULL, Field, closed, each, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import host_usage
from nova_lite.db.volume.host_usage import HostUsage

RULE = Rule("volume_extension:hosts", ADMIN)
FIELDS = (
    Field("host_name", lambda daemon: daemon.host, STRING),
    Field("service", lambda daemon: daemon.binary, STRING),
    Field("zone", lambda daemon: daemon.zone, STRING),
    Field("service-status", lambda daemon: "available" if daemon.is_up else "unavailable", STRING),
    Field("service-state", lambda daemon: "disabled" if daemon.is_disabled else "enabled", STRING),
    Field("last-update", lambda daemon: micros(daemon.service.seen_at), TIME_OR_NULL),
)
_NUMBERS = "volume_count total_volume_gb snapshot_count total_snapshot_gb"
_RESOURCE = closed(resource=closed(host=STRING, project=STRING, **each(_NUMBERS, STRING)))


@route("GET", "/os-hosts", policy=RULE, response=closed(hosts=many(FIELDS)))
def index(req: Request) -> Body:
    """List hosts of block storage, or those of one `zone`. 200."""
    zone = req.query.get("zone")
    return {"hosts": [view(FIELDS, daemon, req) for daemon in daemons.find(req) if zone in (None, daemon.zone)]}


@route("GET", "/os-hosts/{host_name}", policy=RULE, response=closed(host=many(_RESOURCE)))
def show(req: Request, host_name: str) -> Body:
    """Show how many volumes and snapshots a backend has, in all and by project. 200. 404: no such host."""
    daemon = _get(req, host_name)
    by_project = host_usage.by_project(req.db, daemon.host)
    total = HostUsage(*(sum(counts) for counts in zip(*by_project.values(), strict=True))) if by_project else HostUsage(0, 0, 0, 0)
    return {"host": [_resource(daemon.host, "(total)", total),
                     *(_resource(daemon.host, project, by_project[project]) for project in sorted(by_project))]}


def _get(req: Request, host_name: str) -> Daemon:
    found = [daemon for daemon in daemons.find(req) if daemon.host == host_name]
    if not found:
        raise errors.NotFound(f"Host {host_name} could not be found.")
    return found[0]


def _resource(host: str, project: str, usage: HostUsage) -> Body:
    counts = {name: str(count) for name, count in zip(_NUMBERS.split(), usage, strict=True)}
    return {"resource": {"host": host, "project": project, **counts}}
