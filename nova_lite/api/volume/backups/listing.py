# SPDX-License-Identifier: Apache-2.0
"""Lists of backups."""

from __future__ import annotations

from nova_lite.api.volume.backups import views
from nova_lite.api.volume.common import listing, paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume.backups import LISTS, VolumeBackup

_GET_ALL = Rule("backup:get_all", READER)
# Filters of every caller, and the microversion that added each.
FILTERS = dict.fromkeys(("name", "status", "volume_id"), "3.0")
_BY_NAME_SINCE = parse("3.37")


@route("GET", "/backups", policy=_GET_ALL, response=paging.page_of("backups", views.BRIEF))
def index(req: Request) -> Body:
    """List backups with id, name and links.

    200 with a page of them, a link to the next when it is full, and the count if requested. 400: a filter, sort key, limit or offset
    is wrong. 404: the marker is no backup.
    """
    rows, more = _page(req, "/backups")
    return {"backups": [views.brief(req, row) for row in rows], **more}


@route("GET", "/backups/detail", policy=_GET_ALL, response=paging.page_of("backups", views.DETAIL_RESPONSE))
def detail(req: Request) -> Body:
    """List backups in full.

    200, 400 and 404 as for `index`.
    """
    rows, more = _page(req, "/backups/detail")
    return {"backups": views.details(req, rows), **more}


def _page(req: Request, path: str) -> tuple[list[VolumeBackup], Body]:
    sort_keys = LISTS.order.keys() - (set() if req.version >= _BY_NAME_SINCE else {"name"})
    page = paging.read_page(req, sort_keys=sort_keys)
    filters = listing.read(req, LISTS, FILTERS)
    query = LISTS.query(filters)
    rows: list[VolumeBackup] = paging.rows_of(req, req.db, query, LISTS.order, page, seen=LISTS.seen(filters))
    more = paging.links_of(req, "backups", path, page, [row.id for row in rows])
    return rows, {**more, **paging.count_of(req, req.db, query)}
