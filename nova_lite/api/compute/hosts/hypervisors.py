# SPDX-License-Identifier: Apache-2.0
"""Compute hosts as hypervisors: what they are, what they offer, what is taken.

Why a host runs guests as it does (KVM, or TCG and why not KVM) stands in `cpu_info` (`virt_type`, `virt_reason`) up
to 2.87 and behind the load average in `uptime` from 2.88 on: the two fields that clients show and Nova leaves free.
"""

from __future__ import annotations

import json
import re
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.base import utcnow
from nova_lite.db.hosts import host_lists
from nova_lite.db.hosts.host_lists import Hypervisor

LIST = Rule("os_compute_api:os-hypervisors:list", ADMIN)
DETAIL = Rule("os_compute_api:os-hypervisors:list-detail", ADMIN)
SHOW = Rule("os_compute_api:os-hypervisors:show", ADMIN)
_UUIDS_SINCE, _EMPTY_SERVERS_SINCE = parse("2.53"), parse("2.75")
QUERY = schemas.queries({"2.33": ("limit", "marker"), "2.53": ("hypervisor_hostname_pattern", "with_servers")}, closed="2.53")
QUERY_ONE = schemas.queries({"2.53": ("with_servers",)}, closed="2.53")


def _cpu(seen: Hypervisor) -> dict[str, Any]:
    known = json.loads(seen.host.cpu_info or "{}")
    return {**known, "virt_type": seen.host.virt_type, "virt_reason": seen.host.virt_reason}


def _uptime(seen: Hypervisor) -> str | None:
    """What the host's `uptime` command says, as Nova shows it."""
    reason = " ".join(seen.host.virt_reason.split())
    why = f"{seen.host.virt_type}: {reason}" if reason else seen.host.virt_type
    return f"{seen.host.uptime}; {why}" if seen.host.uptime else None


def _service(seen: Hypervisor, service_id: object) -> Body:
    reason = seen.service.disabled_reason if seen.service else None
    return {"id": service_id, "host": seen.host.name, "disabled_reason": reason}


NAME_FIELDS = (
    Field("id", lambda seen: seen.host.number, until="2.52"),
    Field("id", lambda seen: seen.host.id, since="2.53"),
    Field("hypervisor_hostname", lambda seen: seen.host.hypervisor_hostname),
    Field("state", lambda seen: "up" if seen.is_up else "down"),
    Field("status", lambda seen: "disabled" if seen.service is None or seen.service.disabled else "enabled"),
)
FIELDS = (
    *NAME_FIELDS,
    Field("hypervisor_type", lambda seen: seen.host.hypervisor_type),
    Field("hypervisor_version", lambda seen: seen.host.hypervisor_version),
    Field("host_ip", lambda seen: seen.host.host_ip),
    Field("service", lambda seen: _service(seen, seen.service.number if seen.service else 0), until="2.52"),
    Field("service", lambda seen: _service(seen, seen.service.id if seen.service else ""), since="2.53"),
    Field("uptime", _uptime, since="2.88"),
    Field("cpu_info", lambda seen: json.dumps(_cpu(seen)), until="2.27"),
    Field("cpu_info", _cpu, since="2.28", until="2.87"),
    *(Field(name, read, until="2.87") for name, read in (
        ("vcpus", lambda seen: seen.host.vcpus),
        ("vcpus_used", lambda seen: seen.host.vcpus_claimed),
        ("memory_mb", lambda seen: seen.host.ram_mb),
        ("memory_mb_used", lambda seen: seen.host.ram_mb_claimed + seen.host.reserved_ram_mb),
        ("free_ram_mb", lambda seen: seen.host.ram_mb - seen.host.ram_mb_claimed - seen.host.reserved_ram_mb),
        ("local_gb", lambda seen: seen.host.disk_gb),
        ("local_gb_used", lambda seen: seen.host.disk_gb_claimed + seen.host.reserved_disk_gb),
        ("free_disk_gb", lambda seen: seen.host.disk_gb - seen.host.disk_gb_claimed - seen.host.reserved_disk_gb),
        ("disk_available_least", lambda seen: seen.host.disk_free_gb),
        ("running_vms", lambda seen: seen.load.servers),
        ("current_workload", lambda seen: seen.load.tasks),
    )),
)
_SUMMED = ("vcpus", "vcpus_used", "memory_mb", "memory_mb_used", "free_ram_mb", "local_gb", "local_gb_used",
           "free_disk_gb", "disk_available_least", "running_vms", "current_workload")


@route("GET", "/os-hypervisors", policy=LIST, query=QUERY)
def index(req: Request) -> Body:
    """Names and states."""
    return _page(req, NAME_FIELDS, "/os-hypervisors")


@route("GET", "/os-hypervisors/detail", policy=DETAIL, query=QUERY)
def detail(req: Request) -> Body:
    """All of them, whole."""
    return _page(req, FIELDS, "/os-hypervisors/detail")


@route("GET", "/os-hypervisors/statistics", until="2.87", policy=Rule("os_compute_api:os-hypervisors:statistics", ADMIN))
def statistics(req: Request) -> Body:
    """Sums over the hypervisors that are enabled."""
    seen = [one for one in _find(req) if one.service is not None and not one.service.disabled]
    read = {field.name: field.read for field in FIELDS if field.name in _SUMMED}
    sums = {name: sum(read[name](one) for one in seen) for name in _SUMMED}
    return {"hypervisor_statistics": {"count": len(seen), **sums}}


@route("GET", "/os-hypervisors/{hypervisor_id}", policy=SHOW, query=QUERY_ONE)
def show(req: Request, hypervisor_id: str) -> Body:
    """One hypervisor."""
    seen = _one(req, hypervisor_id)
    return {"hypervisor": _documents(req, [seen], FIELDS, with_servers=_with_servers(req))[0]}


@route("GET", "/os-hypervisors/{hypervisor_id}/uptime", until="2.87",
       policy=Rule("os_compute_api:os-hypervisors:uptime", ADMIN))
def uptime(req: Request, hypervisor_id: str) -> Body:
    """How long the host is up, as its `uptime` command says."""
    seen = _one(req, hypervisor_id)
    return {"hypervisor": {**view(NAME_FIELDS, seen, req), "uptime": _uptime(seen) or ""}}


@route("GET", "/os-hypervisors/{pattern}/search", until="2.52",
       policy=Rule("os_compute_api:os-hypervisors:search", ADMIN))
def search(req: Request, pattern: str) -> Body:
    """Those with `pattern` in their names."""
    return {"hypervisors": [view(NAME_FIELDS, seen, req) for seen in _named(req, pattern)]}


@route("GET", "/os-hypervisors/{pattern}/servers", until="2.52",
       policy=Rule("os_compute_api:os-hypervisors:servers", ADMIN))
def servers(req: Request, pattern: str) -> Body:
    """Those with `pattern` in their names, with their servers."""
    return {"hypervisors": _documents(req, _named(req, pattern), NAME_FIELDS, with_servers=True)}


def _find(req: Request, **which: Any) -> list[Hypervisor]:
    return host_lists.hypervisors(req.db, now=utcnow(), down_time_s=req.conf.service_down_time, **which)


def _one(req: Request, hypervisor_id: str) -> Hypervisor:
    """By UUID, before 2.53 by number.

    :raises errors.NotFound: none has this id. :raises errors.BadRequest: it cannot be an id.
    """
    if req.version >= _UUIDS_SINCE:
        if not re.fullmatch(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", hypervisor_id):
            raise errors.BadRequest(reason=f"Invalid uuid {hypervisor_id}")
        found = _find(req, host_id=hypervisor_id)
    else:
        number = integer(hypervisor_id)
        found = _find(req, number=number) if number is not None else []
    if not found:
        raise errors.NotFound(f"Hypervisor with ID '{hypervisor_id}' could not be found.")
    return found[0]


def _named(req: Request, pattern: str) -> list[Hypervisor]:
    found = _find(req, name_part=pattern)
    if not found:
        raise errors.NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found


def _page(req: Request, fields: tuple[Field, ...], path: str) -> Body:
    pattern = req.query.get("hypervisor_hostname_pattern") if req.version >= _UUIDS_SINCE else None
    limit, marker = paging.limit(req), req.query.get("marker")
    if pattern and (marker or "limit" in req.query):
        raise errors.BadRequest(reason="Paging over hypervisors with the hypervisor_hostname_pattern query parameter "
                                       "is not supported.")
    found = _named(req, pattern) if pattern else _find(req)
    key = (lambda seen: seen.host.id) if req.version >= _UUIDS_SINCE else (lambda seen: str(seen.host.number))
    if marker is not None:
        position = next((index for index, seen in enumerate(found) if key(seen) == marker), None)
        if position is None:
            raise errors.InvalidMarker(marker=marker)
        found = found[position + 1:]
    body: Body = {"hypervisors": _documents(req, found[:limit], fields, with_servers=_with_servers(req))}
    if len(found) > limit > 0:
        body["hypervisors_links"] = [paging.next_link(req, path=path, marker=key(found[limit - 1]))]
    return body


def _with_servers(req: Request) -> bool:
    return req.version >= _UUIDS_SINCE and schemas.is_true(req.query.get("with_servers"))


def _documents(req: Request, found: list[Hypervisor], fields: tuple[Field, ...], *, with_servers: bool) -> list[Body]:
    shown = [view(fields, seen, req) for seen in found]
    if with_servers:
        guests = host_lists.guests(req.db, [seen.host.name for seen in found])
        for seen, document in zip(found, shown, strict=True):
            here = [{"name": name, "uuid": server_id} for name, server_id in guests.get(seen.host.name, [])]
            if here or req.version >= _EMPTY_SERVERS_SINCE:
                document["servers"] = here
    return shown
