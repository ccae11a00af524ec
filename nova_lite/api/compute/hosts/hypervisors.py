# SPDX-License-Identifier: Apache-2.0
"""Compute hosts as hypervisors: their type, capacity and usage.

Why a host runs guests as it does (KVM, or TCG and why not KVM) is in `cpu_info` (`virt_type`, `virt_reason`) up
to 2.87 and after the load average in `uptime` from 2.88 on: the two fields that clients show and whose text Nova does not define.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    INTEGER,
    OBJECT,
    STRING,
    STRING_OR_NULL,
    UUID,
    Field,
    Property,
    closed,
    each,
    many,
    page,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.hosts import host_lists
from nova_lite.db.hosts.host_lists import Hypervisor

LIST = Rule("os_compute_api:os-hypervisors:list", ADMIN)
DETAIL = Rule("os_compute_api:os-hypervisors:list-detail", ADMIN)
SHOW = Rule("os_compute_api:os-hypervisors:show", ADMIN)
_UUIDS_SINCE, _EMPTY_SERVERS_SINCE = parse("2.53"), parse("2.75")
QUERY = schemas.queries({"2.33": ("limit", "marker"), "2.53": ("hypervisor_hostname_pattern", "with_servers")}, closed="2.53")
QUERY_ONE = schemas.queries({"2.53": ("with_servers",)}, closed="2.53")


def _cpu_info(hypervisor: Hypervisor) -> dict[str, Any]:
    reported = json.loads(hypervisor.host.cpu_info or "{}")
    return {**reported, "virt_type": hypervisor.host.virt_type, "virt_reason": hypervisor.host.virt_reason}


def _uptime(hypervisor: Hypervisor) -> str | None:
    """The output of the host's `uptime` command, as Nova shows it; None: the host has not reported it."""
    reason = " ".join(hypervisor.host.virt_reason.split())
    why = f"{hypervisor.host.virt_type}: {reason}" if reason else hypervisor.host.virt_type
    return f"{hypervisor.host.uptime}; {why}" if hypervisor.host.uptime else None


def _service(hypervisor: Hypervisor, service_id: object) -> Body:
    reason = hypervisor.service.disabled_reason if hypervisor.service else None
    return {"id": service_id, "host": hypervisor.host.name, "disabled_reason": reason}


NAME_FIELDS = (
    Field("id", lambda hypervisor: hypervisor.host.number, INTEGER, until="2.52"),
    Field("id", lambda hypervisor: hypervisor.host.id, UUID, since="2.53"),
    Field("hypervisor_hostname", lambda hypervisor: hypervisor.host.hypervisor_hostname, STRING),
    Field("state", lambda hypervisor: "up" if hypervisor.is_up else "down", {"enum": ["up", "down"]}),
    Field("status", lambda hypervisor: "disabled" if hypervisor.service is None or hypervisor.service.disabled else "enabled",
          {"enum": ["enabled", "disabled"]}),
)
# Read from a host_lists.Hypervisor; summed in `statistics`.
_NUMBERS: dict[str, Callable[[Any], int]] = {
    "vcpus": lambda hypervisor: hypervisor.host.vcpus,
    "vcpus_used": lambda hypervisor: hypervisor.host.vcpus_claimed,
    "memory_mb": lambda hypervisor: hypervisor.host.ram_mb,
    "memory_mb_used": lambda hypervisor: hypervisor.host.ram_mb_claimed + hypervisor.host.reserved_ram_mb,
    "free_ram_mb": lambda hypervisor: hypervisor.host.ram_mb - hypervisor.host.ram_mb_claimed - hypervisor.host.reserved_ram_mb,
    "local_gb": lambda hypervisor: hypervisor.host.disk_gb,
    "local_gb_used": lambda hypervisor: hypervisor.host.disk_gb_claimed + hypervisor.host.reserved_disk_gb,
    "free_disk_gb": lambda hypervisor: hypervisor.host.disk_gb - hypervisor.host.disk_gb_claimed - hypervisor.host.reserved_disk_gb,
    "disk_available_least": lambda hypervisor: hypervisor.host.disk_free_gb,
    "running_vms": lambda hypervisor: hypervisor.load.servers,
    "current_workload": lambda hypervisor: hypervisor.load.tasks,
}
FIELDS = (
    *NAME_FIELDS,
    Field("hypervisor_type", lambda hypervisor: hypervisor.host.hypervisor_type, STRING),
    Field("hypervisor_version", lambda hypervisor: hypervisor.host.hypervisor_version, INTEGER),
    Field("host_ip", lambda hypervisor: hypervisor.host.host_ip, STRING_OR_NULL),
    Field("service", lambda hypervisor: _service(hypervisor, hypervisor.service.number if hypervisor.service else 0),
          closed(id=INTEGER, host=STRING, disabled_reason=STRING_OR_NULL), until="2.52"),
    Field("service", lambda hypervisor: _service(hypervisor, hypervisor.service.id if hypervisor.service else ""),
          closed(id=STRING, host=STRING, disabled_reason=STRING_OR_NULL), since="2.53"),
    Field("uptime", _uptime, STRING_OR_NULL, since="2.88"),
    Field("cpu_info", lambda hypervisor: json.dumps(_cpu_info(hypervisor)), STRING, until="2.27"),
    Field("cpu_info", _cpu_info, OBJECT, since="2.28", until="2.87"),
    *(Field(name, read, INTEGER, until="2.87") for name, read in _NUMBERS.items()),
)
_SERVERS = many(closed(uuid=UUID, name=STRING))
_WITH_SERVERS = Property("servers", _SERVERS, since="2.53", is_optional=True)
_LIST, _DETAIL = page("hypervisors", (*NAME_FIELDS, _WITH_SERVERS)), page("hypervisors", (*FIELDS, _WITH_SERVERS))


@route("GET", "/os-hypervisors", policy=LIST, query=QUERY, response=_LIST)
def index(req: Request) -> Body:
    """List names and states.

    200, a page. 400: a wrong marker or limit, or paging with a name pattern. 404: no name has the pattern.
    """
    return _page(req, NAME_FIELDS, "/os-hypervisors")


@route("GET", "/os-hypervisors/detail", policy=DETAIL, query=QUERY, response=_DETAIL)
def detail(req: Request) -> Body:
    """List all with all fields. 200, 400 and 404 as for the short list."""
    return _page(req, FIELDS, "/os-hypervisors/detail")


@route("GET", "/os-hypervisors/statistics", until="2.87", policy=Rule("os_compute_api:os-hypervisors:statistics", ADMIN),
       response=closed(hypervisor_statistics=closed(count=INTEGER, **each(" ".join(_NUMBERS), INTEGER))))
def statistics(req: Request) -> Body:
    """Sum numbers over the hypervisors that are enabled. 200."""
    enabled = [hypervisor for hypervisor in _find(req) if hypervisor.service is not None and not hypervisor.service.disabled]
    sums = {name: sum(read(hypervisor) for hypervisor in enabled) for name, read in _NUMBERS.items()}
    return {"hypervisor_statistics": {"count": len(enabled), **sums}}


@route("GET", "/os-hypervisors/{hypervisor_id}", policy=SHOW, query=QUERY_ONE,
       response=closed(hypervisor=(*FIELDS, _WITH_SERVERS)))
def show(req: Request, hypervisor_id: str) -> Body:
    """Show one hypervisor. 200. 400: from 2.53 on, the id is no UUID. 404: no such hypervisor."""
    hypervisor = _get(req, hypervisor_id)
    return {"hypervisor": _documents(req, [hypervisor], FIELDS, with_servers=_with_servers(req))[0]}


@route("GET", "/os-hypervisors/{hypervisor_id}/uptime", until="2.87",
       policy=Rule("os_compute_api:os-hypervisors:uptime", ADMIN),
       response=closed(hypervisor=(*NAME_FIELDS, Property("uptime", STRING))))
def uptime(req: Request, hypervisor_id: str) -> Body:
    """Show the output of the host's `uptime` command. 200. 400: from 2.53 on, the id is no UUID. 404: no such hypervisor."""
    hypervisor = _get(req, hypervisor_id)
    return {"hypervisor": {**view(NAME_FIELDS, hypervisor, req), "uptime": _uptime(hypervisor) or ""}}


@route("GET", "/os-hypervisors/{pattern}/search", until="2.52",
       policy=Rule("os_compute_api:os-hypervisors:search", ADMIN),
       response=closed(hypervisors=many(NAME_FIELDS)))
def search(req: Request, pattern: str) -> Body:
    """List the hypervisors with `pattern` in their names. 200. 404: there are none."""
    return {"hypervisors": [view(NAME_FIELDS, hypervisor, req) for hypervisor in _find_by_name(req, pattern)]}


@route("GET", "/os-hypervisors/{pattern}/servers", until="2.52",
       policy=Rule("os_compute_api:os-hypervisors:servers", ADMIN),
       response=closed(hypervisors=many((*NAME_FIELDS, Property("servers", _SERVERS, is_optional=True)))))
def servers(req: Request, pattern: str) -> Body:
    """List the hypervisors with `pattern` in their names, with their servers. 200. 404: there are none."""
    return {"hypervisors": _documents(req, _find_by_name(req, pattern), NAME_FIELDS, with_servers=True)}


def _find(req: Request, **filters: Any) -> list[Hypervisor]:
    return host_lists.hypervisors(req.db, down_time_s=req.conf.service_down_time, **filters)


def _get(req: Request, hypervisor_id: str) -> Hypervisor:
    """By UUID, before 2.53 by number.

    :raises errors.NotFound: none has this id. :raises errors.BadRequest: it is no UUID.
    """
    if req.version >= _UUIDS_SINCE:
        if not re.fullmatch(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", hypervisor_id):
            raise errors.BadRequest(reason=f"Invalid uuid {hypervisor_id}")
        matches = _find(req, host_id=hypervisor_id)
    else:
        number = integer(hypervisor_id)
        matches = _find(req, number=number) if number is not None else []
    if not matches:
        raise errors.NotFound(f"Hypervisor with ID '{hypervisor_id}' could not be found.")
    return matches[0]


def _find_by_name(req: Request, pattern: str) -> list[Hypervisor]:
    """:raises errors.NotFound: no name contains the pattern."""
    matches = _find(req, name_part=pattern)
    if not matches:
        raise errors.NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return matches


def _page(req: Request, fields: tuple[Field, ...], path: str) -> Body:
    pattern = req.query.get("hypervisor_hostname_pattern") if req.version >= _UUIDS_SINCE else None
    limit, marker = paging.limit(req), req.query.get("marker")
    if pattern and (marker or "limit" in req.query):
        raise errors.BadRequest(reason="Paging over hypervisors with the hypervisor_hostname_pattern query parameter "
                                       "is not supported.")
    hypervisors = _find_by_name(req, pattern) if pattern else _find(req)
    ids = [hypervisor.host.id if req.version >= _UUIDS_SINCE else str(hypervisor.host.number) for hypervisor in hypervisors]
    if marker is not None and marker not in ids:
        raise errors.InvalidMarker(marker=marker)
    first = 0 if marker is None else ids.index(marker) + 1
    last = first + limit
    body: Body = {"hypervisors": _documents(req, hypervisors[first:last], fields, with_servers=_with_servers(req))}
    if len(hypervisors) > last > first:
        body["hypervisors_links"] = [paging.next_link(req, path=path, marker=ids[last - 1])]
    return body


def _with_servers(req: Request) -> bool:
    return req.version >= _UUIDS_SINCE and schemas.is_true(req.query.get("with_servers"))


def _documents(req: Request, hypervisors: list[Hypervisor], fields: tuple[Field, ...], *, with_servers: bool) -> list[Body]:
    documents = [view(fields, hypervisor, req) for hypervisor in hypervisors]
    if with_servers:
        guests = host_lists.guests(req.db, [hypervisor.host.name for hypervisor in hypervisors])
        for hypervisor, document in zip(hypervisors, documents, strict=True):
            listed = [{"name": name, "uuid": server_id} for name, server_id in guests.get(hypervisor.host.name, [])]
            if listed or req.version >= _EMPTY_SERVERS_SINCE:
                document["servers"] = listed
    return documents
