# SPDX-License-Identifier: Apache-2.0
"""Lists of attachments."""

from __future__ import annotations

from nova_lite.api.volume.attachments.views import BRIEF, DETAIL, AttachmentView, flat_connection, may_connect
from nova_lite.api.volume.common import listing, paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db.volume import volumes
from nova_lite.db.volume.attachments import LISTS, Attachment
from nova_lite.runtime.tokens import open_tokens

_GET_ALL = Rule("volume:get_all", READER)
# Filters of every caller, and the microversion that added each.
FILTERS = dict.fromkeys(("volume_id", "status", "instance_id", "attach_status"), "3.27")


@route("GET", "/attachments", policy=_GET_ALL, since="3.27", response=closed(attachments=many(BRIEF)))
def index(req: Request) -> Body:
    """List attachments.

    200 with a page of them. 400: a filter, sort key, limit or offset is wrong. 404: the marker is no attachment.
    """
    return {"attachments": [view(BRIEF, AttachmentView(row), req) for row in _page(req)]}


@route("GET", "/attachments/detail", policy=_GET_ALL, since="3.27", response=closed(attachments=many(DETAIL)))
def detail(req: Request) -> Body:
    """List attachments with their times and modes; administrators and services see how to connect.

    200, 400 and 404 as for `index`.
    """
    rows = _page(req)
    if not may_connect(req.ctxt):
        return {"attachments": [view(DETAIL, AttachmentView(row), req) for row in rows]}
    by_id, tokens = {row.id: row for row in volumes.by_ids(req.db, {str(row.volume_id) for row in rows})}, open_tokens(req.conf)
    return {"attachments": [view(DETAIL, AttachmentView(row, flat_connection(tokens, row, by_id[str(row.volume_id)])), req)
                            for row in rows if row.volume_id in by_id]}


def _page(req: Request) -> list[Attachment]:
    page = paging.read_page(req, sort_keys=LISTS.order.keys())
    filters = listing.read(req, LISTS, FILTERS)
    return paging.rows_of(req, req.db, LISTS.query(filters), LISTS.order, page, seen=LISTS.seen(filters))
