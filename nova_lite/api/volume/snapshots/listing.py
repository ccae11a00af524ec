# SPDX-License-Identifier: Apache-2.0
"""Lists of snapshots."""

from __future__ import annotations

from nova_lite.api.volume.common import listing, paging
from nova_lite.api.volume.snapshots import views
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume.snapshots import LISTS, VolumeSnapshot

_GET_ALL = Rule("volume:get_all_snapshots", READER)
# Filters of every caller, and the microversion that added each.
FILTERS = {**dict.fromkeys(("name", "status", "volume_id"), "3.0"), "metadata": "3.22", "availability_zone": "3.31", "consumes_quota": "3.65"}
_BY_NAME_SINCE = parse("3.30")


@route("GET", "/snapshots", policy=_GET_ALL, response=paging.page_of("snapshots", views.BRIEF))
def index(req: Request) -> Body:
    """List snapshots.

    200 with a page of them, a link to the next when it is full, and the count if requested. 400: a filter, sort key, limit or offset
    is wrong. 404: the marker is no snapshot.
    """
    rows, more = _page(req, "/snapshots")
    return {"snapshots": views.briefs(req, rows), **more}


@route("GET", "/snapshots/detail", policy=_GET_ALL, response=paging.page_of("snapshots", views.DETAIL))
def detail(req: Request) -> Body:
    """List snapshots with their projects and progress.

    200, 400 and 404 as for `index`.
    """
    rows, more = _page(req, "/snapshots/detail")
    return {"snapshots": views.details(req, rows), **more}


def _page(req: Request, path: str) -> tuple[list[VolumeSnapshot], Body]:
    sort_keys = LISTS.order.keys() - (set() if req.version >= _BY_NAME_SINCE else {"name"})
    page = paging.read_page(req, sort_keys=sort_keys)
    filters = listing.read(req, LISTS, FILTERS)
    query = LISTS.query(filters)
    rows = paging.rows_of(req, req.db, query, LISTS.order, page, seen=LISTS.seen(filters))
    more = paging.links_of(req, "snapshots", path, page, [row.id for row in rows])
    return rows, {**more, **paging.count_of(req, req.db, query)}
