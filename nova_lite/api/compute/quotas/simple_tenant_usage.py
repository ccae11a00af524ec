# SPDX-License-Identifier: Apache-2.0
"""Usage of projects: the sizes of their servers times the hours that these existed within a time span."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    INTEGER,
    LINKS,
    NUMBER,
    STRING,
    STRING_OR_NULL,
    closed,
    each,
    many,
    page,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute import usage
from nova_lite.db.compute.usage import Row, Span
from nova_lite.values.flavor import Flavor

LIST = Rule("os_compute_api:os-simple-tenant-usage:list", ADMIN)
SHOW = Rule("os_compute_api:os-simple-tenant-usage:show", READER)
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f")  # Nova's
_LIST_PARAMETERS, _SHOW_PARAMETERS, _PAGE_PARAMETERS = ("start", "end", "detailed"), ("start", "end"), ("limit", "marker")
LIST_QUERY = schemas.queries({"2.0": _LIST_PARAMETERS, "2.40": _PAGE_PARAMETERS})
SHOW_QUERY = schemas.queries({"2.0": _SHOW_PARAMETERS, "2.40": _PAGE_PARAMETERS})

_SERVER_USAGE = closed(
    **each("instance_id name tenant_id flavor started_at state", STRING), ended_at=STRING_OR_NULL, hours=NUMBER,
    **each("vcpus memory_mb local_gb uptime", INTEGER))
_USAGE = closed({"server_usages": many(_SERVER_USAGE)}, **each("tenant_id start stop", STRING), **each(
    "total_hours total_local_gb_usage total_memory_mb_usage total_vcpus_usage", NUMBER))
_ONE_OR_NONE = {"anyOf": [_USAGE, closed()]}


@route("GET", "/os-simple-tenant-usage", policy=LIST, until="2.39", query=LIST_QUERY,
       response=closed(tenant_usages=many(_USAGE)))
def index(req: Request) -> Body:
    """List the usage of all projects; `detailed=1`: with every server. 200. 400: wrong times."""
    span = _span(req)
    return {"tenant_usages": _projects(usage.running(req.db, span), span, is_detailed=_is_detailed(req))}


@route("GET", "/os-simple-tenant-usage", policy=LIST, since="2.40", query=LIST_QUERY,
       response=page("tenant_usages", _USAGE))
def index_paged(req: Request) -> Body:
    """List the usage of a page of servers, summed by project: a project may continue on the next page.

    200. 400: wrong times, or a wrong limit. The marker is a server's id.
    """
    span = _span(req)
    rows, links = _page(req, span, path="/os-simple-tenant-usage", project_id=None)
    return {"tenant_usages": _projects(rows, span, is_detailed=_is_detailed(req)),
            **({"tenant_usages_links": links} if links else {})}


@route("GET", "/os-simple-tenant-usage/{project_id}", policy=SHOW, until="2.39", query=SHOW_QUERY,
       response=closed(tenant_usage=_ONE_OR_NONE))
def show(req: Request, project_id: str) -> Body:
    """Show the usage of one project with every server; `{}` when none ran. 200. 400: wrong times. 403: another project's."""
    _check_project(req, project_id)
    span = _span(req)
    return {"tenant_usage": _one(usage.running(req.db, span, project_id=project_id), span)}


@route("GET", "/os-simple-tenant-usage/{project_id}", policy=SHOW, since="2.40", query=SHOW_QUERY,
       response=closed({"tenant_usage_links": LINKS}, tenant_usage=_ONE_OR_NONE))
def show_paged(req: Request, project_id: str) -> Body:
    """Show the usage of a page of one project's servers. 200. 400: wrong times, or a wrong limit. 403: another project's."""
    _check_project(req, project_id)
    span = _span(req)
    rows, links = _page(req, span, path=f"/os-simple-tenant-usage/{project_id}", project_id=project_id)
    return {"tenant_usage": _one(rows, span), **({"tenant_usage_links": links} if links else {})}


def _check_project(req: Request, project_id: str) -> None:
    if not req.ctxt.is_admin and project_id != req.ctxt.project_id:
        raise errors.PolicyForbids(rule=SHOW.name)


def _page(req: Request, span: Span, *, path: str, project_id: str | None) -> tuple[list[Row], list[dict[str, str]]]:
    limit = paging.limit(req)
    rows = list(usage.running(
        req.db, span, project_id=project_id, marker=req.query.get("marker"), limit=limit + 1))
    if len(rows) > limit > 0:
        return rows[:limit], [paging.next_link(req, path=path, marker=rows[limit - 1].id)]
    return rows[:limit], []


def _span(req: Request) -> Span:
    """From `start` to `end`; each is now where it is missing.

    :raises errors.BadRequest: not times, or in the wrong order.
    """
    now = utcnow()
    start, stop = (_time(name, req.query[name]) if name in req.query else now for name in ("start", "end"))
    if start > stop or (start == stop and "start" in req.query):
        raise errors.BadRequest(reason="Invalid start time. The start time cannot occur after the end time.")
    return start, stop


def _time(name: str, text: str) -> datetime.datetime:
    for time_format in _FORMATS:
        try:
            return datetime.datetime.strptime(text, time_format)  # noqa: DTZ007 - UTC without a zone, as rows store it
        except ValueError:
            continue
    raise errors.BadRequest(reason=f"Datetime is in invalid format: {name} is {text!r}, not like 2026-01-31T23:59:59")


def _is_detailed(req: Request) -> bool:
    return bool(req.query.get("detailed", "0") == "1")


def _projects(rows: Iterable[Row], span: Span, *, is_detailed: bool) -> list[Body]:
    """One summary for each project; rows come project by project."""
    return [_summary(project_id, of_project, span, is_detailed=is_detailed)
            for project_id, of_project in itertools.groupby(rows, key=lambda row: row.project_id)]


def _one(rows: Iterable[Row], span: Span) -> Body:
    return next(iter(_projects(rows, span, is_detailed=True)), {})


def _summary(project_id: str, rows: Iterable[Row], span: Span, *, is_detailed: bool) -> Body:
    totals = {"total_hours": 0.0, "total_local_gb_usage": 0.0, "total_memory_mb_usage": 0.0, "total_vcpus_usage": 0.0}
    now, servers = utcnow(), []
    for row in rows:
        hours, local_gb = _hours(row, span), _local_gb(row)
        for name, size in zip(totals, (1, local_gb, row.flavor.ram_mb, row.flavor.vcpus), strict=True):
            totals[name] += size * hours
        if is_detailed:
            servers.append(_server(row, hours=hours, local_gb=local_gb, now=now))
    return {"tenant_id": project_id, **totals, "start": micros(span[0]), "stop": micros(span[1]),
            **({"server_usages": servers} if is_detailed else {})}


def _server(row: Row, *, hours: float, local_gb: int, now: datetime.datetime) -> Body:
    launched_at: Any = row.launched_at
    return {
        "instance_id": row.id, "name": row.name, "tenant_id": row.project_id, "hours": hours, "vcpus": row.flavor.vcpus,
        "memory_mb": row.flavor.ram_mb, "local_gb": local_gb, "flavor": row.flavor.name, "started_at": micros(launched_at),
        "ended_at": micros(row.terminated_at), "state": "terminated" if row.terminated_at else row.vm_state,
        "uptime": int(((row.terminated_at or now) - launched_at).total_seconds()),
    }


def _hours(row: Row, span: Span) -> float:
    """Hours of the span in which the server existed."""
    start, stop = span
    launched_at: Any = row.launched_at
    seconds: float = (min(row.terminated_at or stop, stop) - max(launched_at, start)).total_seconds()
    return max(0.0, seconds / 3600)


def _local_gb(row: Row) -> int:
    flavor: Flavor = row.flavor
    return flavor.root_gb + flavor.ephemeral_gb
