# SPDX-License-Identifier: Apache-2.0
"""Lists of volumes, and their summary."""

from __future__ import annotations

from nova_lite.api.volume.common import listing, paging
from nova_lite.api.volume.volumes import views
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, Property, Schema, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db.volume import volumes
from nova_lite.db.volume.volumes import LISTS, Volume

_GET_ALL = Rule("volume:get_all", READER)
# Filters of every caller, and the microversion that added each.
FILTERS = {
    **dict.fromkeys(("name", "status", "metadata", "bootable", "migration_status", "availability_zone", "size"), "3.0"),
    "glance_metadata": "3.4", "group_id": "3.10", "created_at": "3.60", "updated_at": "3.60", "consumes_quota": "3.65",
}
_SUMMARY = (Property("total_count", INTEGER), Property("total_size", INTEGER))
_VALUES: Schema = {"type": "object", "additionalProperties": many({"type": "string"})}
_SUMMARY_WITH_METADATA = (*_SUMMARY, Property("metadata", _VALUES))


@route("GET", "/volumes", policy=_GET_ALL, response=paging.page_of("volumes", views.BRIEF))
def index(req: Request) -> Body:
    """List volumes with id, name and links.

    200 with a page of them, a link to the next when it is full, and the count if requested. 400: a filter, sort key, limit or offset
    is wrong. 404: the marker is no volume.
    """
    rows, more = _page(req, "/volumes")
    return {"volumes": views.briefs(req, rows), **more}


@route("GET", "/volumes/detail", policy=_GET_ALL, response=paging.page_of("volumes", views.DETAIL_RESPONSE))
def detail(req: Request) -> Body:
    """List volumes in full.

    200, 400 and 404 as for `index`.
    """
    rows, more = _page(req, "/volumes/detail")
    return {"volumes": views.details(req, rows), **more}


def _page(req: Request, path: str) -> tuple[list[Volume], Body]:
    page = paging.read_page(req, sort_keys=LISTS.order.keys())
    filters = listing.read(req, LISTS, FILTERS)
    query = LISTS.query(filters)
    rows = paging.rows_of(req, req.db, query, LISTS.order, page, seen=LISTS.seen(filters))
    more = paging.links_of(req, "volumes", path, page, [row.id for row in rows])
    return rows, {**more, **paging.count_of(req, req.db, query)}


@route("GET", "/volumes/summary", policy=_GET_ALL, since="3.12", until="3.35", response=closed(**{"volume-summary": _SUMMARY}))
def summary(req: Request) -> Body:
    """Show how many volumes there are, and their size together in GiB.

    200 with both. 400: a filter is wrong.
    """
    count, size_gb = volumes.summary(req.db, listing.read(req, LISTS, FILTERS))
    return {"volume-summary": {"total_count": count, "total_size": size_gb}}


@route("GET", "/volumes/summary", policy=_GET_ALL, since="3.36", response=closed(**{"volume-summary": _SUMMARY_WITH_METADATA}))
def summary_with_metadata(req: Request) -> Body:
    """As `summary`, with the values of each metadata key. 200 and 400 as there."""
    found = summary(req)
    found["volume-summary"]["metadata"] = volumes.metadata_values(req.db, listing.read(req, LISTS, FILTERS))
    return found
