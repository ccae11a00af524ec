# SPDX-License-Identifier: Apache-2.0
"""Compute hosts and the usage of their resources, up to 2.42; hypervisors and services have the same and more."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.hosts import host_lists, hosts

_RULE = "os_compute_api:os-hosts"
_LAST = "2.42"
_ENABLE_OR_DISABLE = {"enum": ["enable", "disable", "Enable", "Disable", "ENABLE", "DISABLE"]}
UPDATE = {"2.0": {**schemas.closed({"status": _ENABLE_OR_DISABLE, "maintenance_mode": _ENABLE_OR_DISABLE}), "minProperties": 1}}
_LIST = closed(hosts=many(closed(**each("host_name service zone", STRING))))
_RESOURCES = closed(host=many(closed(resource=closed(
    **each("host project", STRING), **each("cpu memory_mb disk_gb", INTEGER)))))


@route("GET", "/os-hosts", policy=Rule(f"{_RULE}:list", ADMIN), until=_LAST,
       query=schemas.queries({"2.0": ("zone",)}), response=_LIST)
def index(req: Request) -> Body:
    """List the host of every service, or those of one zone. 200."""
    zones, requested_zone = host_lists.availability_zones(req.db), req.query.get("zone") or None
    pairs = [(service, host_lists.az_of(service, zones)) for service in hosts.services(req.db)]
    return {"hosts": [{"host_name": service.host, "service": service.binary.removeprefix("nova-"), "zone": zone}
                      for service, zone in pairs if requested_zone in (None, zone)]}


@route("GET", "/os-hosts/{host_name}", policy=Rule(f"{_RULE}:show", ADMIN), until=_LAST, response=_RESOURCES)
def show(req: Request, host_name: str) -> Body:
    """Show a compute host's total and used resources, also by project. 200. 404: no such host."""
    host = _host(req, host_name)
    claimed = host_lists.claimed_by_project(req.db, host_name)
    used_max = tuple(sum(row[column] for row in claimed.values()) for column in range(3))
    rows = [
        ("(total)", (host.vcpus, host.ram_mb, host.disk_gb)),
        ("(used_now)", (host.vcpus_claimed, host.ram_mb_claimed + host.reserved_ram_mb,
                        host.disk_gb_claimed + host.reserved_disk_gb)),
        ("(used_max)", used_max), *sorted(claimed.items())]
    return {"host": [{"resource": {"host": host_name, "project": project, "cpu": row[0], "memory_mb": row[1],
                                   "disk_gb": row[2]}} for project, row in rows]}


@route("PUT", "/os-hosts/{host_name}", policy=Rule(f"{_RULE}:update", ADMIN), until=_LAST, body=UPDATE,
       response=closed(host=STRING, status=STRING))
def update(req: Request, body: Body, host_name: str) -> Body:
    """Enable or disable the host for new servers.

    200 with the status. 404: no such host. 501: `maintenance_mode`, which this cloud does not have.
    """
    _host(req, host_name)
    if "maintenance_mode" in body:
        raise errors.NotImplementedHere(reason="Hosts have no maintenance mode here; disable the service, or migrate.")
    service = host_lists.service(req.db, host=host_name, binary=hosts.COMPUTE)
    hosts.set_disabled(req.db, service, disabled=body["status"].lower() == "disable")
    return {"host": host_name, "status": "disabled" if service.disabled else "enabled"}


@route("GET", "/os-hosts/{host_name}/startup", policy=Rule(f"{_RULE}:start", ADMIN), until=_LAST)
@route("GET", "/os-hosts/{host_name}/shutdown", policy=Rule(f"{_RULE}:shutdown", ADMIN), until=_LAST)
@route("GET", "/os-hosts/{host_name}/reboot", policy=Rule(f"{_RULE}:reboot", ADMIN), until=_LAST)
def power(req: Request, host_name: str) -> NoReturn:
    """Refuse, as Nova does with libvirt. 404: no such host. 501: hosts are not switched on or off."""
    _host(req, host_name)
    raise errors.NotImplementedHere(reason="Hosts are not switched on or off by this cloud.")


def _host(req: Request, name: str) -> hosts.Host:
    """:raises errors.NotFound: no compute host has this name."""
    host = next((host for host in hosts.hosts(req.db) if host.name == name), None)
    if host is None:
        raise errors.NotFound(f"Compute host {name} could not be found.")
    return host
