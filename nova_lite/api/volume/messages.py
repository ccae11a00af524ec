# SPDX-License-Identifier: Apache-2.0
"""Messages: why what users of block storage requested failed after the request was accepted."""

from __future__ import annotations

from nova_lite.api.volume.common import listing, paging
from nova_lite.api.volume.common.links import links, micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import LINKS, STRING, STRING_OR_NULL, TIME, UUID, Field, Property, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.listing import Page
from nova_lite.db.volume import messages
from nova_lite.db.volume.messages import LISTS, Message

FIELDS = (
    Field("id", lambda found: found.id, UUID),
    Field("request_id", lambda found: found.request_id, STRING),
    Field("message_level", lambda found: found.message_level, STRING),
    Field("event_id", lambda found: found.event_id, STRING),
    Field("user_message", lambda found: found.user_message, STRING),
    Field("created_at", lambda found: micros(found.created_at), TIME),
    Field("guaranteed_until", lambda found: micros(found.guaranteed_until), TIME),
    Field("resource_type", lambda found: found.resource_type, STRING_OR_NULL),
    Field("resource_uuid", lambda found: found.resource_uuid, STRING_OR_NULL),
)
# Filters of every caller, and the microversion that added each.
FILTERS = dict.fromkeys(("resource_uuid", "resource_type", "event_id", "request_id", "message_level"), "3.5")
_LINKS = Property("links", LINKS)
_PAGED_SINCE = parse("3.5")


@route("GET", "/messages", policy=Rule("message:get_all", READER), since="3.3", response=paging.page_of("messages", (*FIELDS, _LINKS)))
def index(req: Request) -> Body:
    """List the project's messages, newest first; from 3.5 on by pages and filters.

    200. 400: a filter, sort key, limit or offset is wrong. 404: the marker is no message.
    """
    is_paged = req.version >= _PAGED_SINCE
    page = paging.read_page(req, sort_keys=LISTS.order.keys()) if is_paged else Page(limit=req.conf.api.max_limit, order=paging.NEWEST_FIRST)
    filters = listing.read(req, LISTS, FILTERS)
    query = LISTS.query(filters)
    rows = paging.rows_of(req, req.db, query, LISTS.order, page, seen=LISTS.seen(filters))
    more = paging.links_of(req, "messages", "/messages", page, [row.id for row in rows])
    return {"messages": [_document(req, row) for row in rows], **more, **paging.count_of(req, req.db, query)}


@route("GET", "/messages/{message_id}", policy=Rule("message:get", READER), since="3.3", response=closed(message=(*FIELDS, _LINKS)))
def show(req: Request, message_id: str) -> Body:
    """Show one message. 200. 404: none of the project's."""
    return {"message": _document(req, messages.get(req.db, message_id, project_id=req.ctxt.visible_project))}


@route("DELETE", "/messages/{message_id}", policy=Rule("message:delete", MEMBER), since="3.3", status=204)
def delete(req: Request, message_id: str) -> None:
    """Delete a message. 204. 404: none of the project's."""
    req.db.delete(messages.get(req.db, message_id, project_id=req.ctxt.visible_project))


def _document(req: Request, message: Message) -> Body:
    return {**view(FIELDS, message, req), "links": links(req, f"/messages/{message.id}")}
