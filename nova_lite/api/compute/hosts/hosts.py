# SPDX-License-Identifier: Apache-2.0
"""Hosts and what their servers take, up to 2.42; hypervisors and services say the same, and more."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.hosts import host_lists, hosts
from nova_lite.db.hosts.host_lists import COMPUTE

_RULE = "os_compute_api:os-hosts"
_LAST = "2.42"
_SWITCH = {"enum": ["enable", "disable", "Enable", "Disable", "ENABLE", "DISABLE"]}
UPDATE = {"2.0": {**schemas.closed({"status": _SWITCH, "maintenance_mode": _SWITCH}), "minProperties": 1}}


@route("GET", "/os-hosts", policy=Rule(f"{_RULE}:list", ADMIN), until=_LAST, query=schemas.queries({"2.0": ("zone",)}))
def index(req: Request) -> Body:
    """Every daemon's host, or those of one zone."""
    zones, wanted = host_lists.zones(req.db), req.query.get("zone") or None
    found = [(service, host_lists.zone_of(service, zones)) for service in hosts.services(req.db)]
    return {"hosts": [{"host_name": service.host, "service": service.binary.removeprefix("nova-"), "zone": zone}
                      for service, zone in found if wanted in (None, zone)]}


@route("GET", "/os-hosts/{host_name}", policy=Rule(f"{_RULE}:show", ADMIN), until=_LAST)
def show(req: Request, host_name: str) -> Body:
    """What a compute host has, what is taken, and by which project."""
    host = _host(req, host_name)
    claimed = host_lists.claimed_by_project(req.db, host_name)
    used_max = tuple(sum(row[place] for row in claimed.values()) for place in range(3))
    lines = [
        ("(total)", (host.vcpus, host.ram_mb, host.disk_gb)),
        ("(used_now)", (host.vcpus_claimed, host.ram_mb_claimed + host.reserved_ram_mb,
                        host.disk_gb_claimed + host.reserved_disk_gb)),
        ("(used_max)", used_max), *sorted(claimed.items())]
    return {"host": [{"resource": {"host": host_name, "project": project, "cpu": row[0], "memory_mb": row[1],
                                   "disk_gb": row[2]}} for project, row in lines]}


@route("PUT", "/os-hosts/{host_name}", policy=Rule(f"{_RULE}:update", ADMIN), until=_LAST, body=UPDATE)
def update(req: Request, body: Body, host_name: str) -> Body:
    """Let servers come to the host, or not. There is no maintenance mode."""
    _host(req, host_name)
    if "maintenance_mode" in body:
        raise errors.NotImplementedHere(reason="Hosts have no maintenance mode here; disable the service, or migrate.")
    service = host_lists.service(req.db, host=host_name, binary=COMPUTE)
    service.disabled = body["status"].lower() == "disable"
    service.disabled_reason = None
    return {"host": host_name, "status": "disabled" if service.disabled else "enabled"}


@route("GET", "/os-hosts/{host_name}/startup", policy=Rule(f"{_RULE}:start", ADMIN), until=_LAST)
@route("GET", "/os-hosts/{host_name}/shutdown", policy=Rule(f"{_RULE}:shutdown", ADMIN), until=_LAST)
@route("GET", "/os-hosts/{host_name}/reboot", policy=Rule(f"{_RULE}:reboot", ADMIN), until=_LAST)
def power(req: Request, host_name: str) -> Body:
    """Refuse, as Nova does with libvirt: it switches no hosts on or off."""
    _host(req, host_name)
    raise errors.NotImplementedHere(reason="Hosts are not switched on or off by this cloud.")


def _host(req: Request, name: str) -> hosts.Host:
    """:raises errors.NotFound: no compute host has this name."""
    found = next((host for host in hosts.hosts(req.db) if host.name == name), None)
    if found is None:
        raise errors.NotFound(f"Compute host {name} could not be found.")
    return found
