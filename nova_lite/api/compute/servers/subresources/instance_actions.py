# SPDX-License-Identifier: Apache-2.0
"""os-instance-actions: the actions on a server and how each step went, read from the conductor's journal."""

from __future__ import annotations

import datetime

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.servers.listing import read_time
from nova_lite.api.compute.servers.subresources import action_events
from nova_lite.api.compute.servers.subresources.action_events import MergedEvent
from nova_lite.api.compute.servers.views import host_id
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    LINKS,
    STRING,
    STRING_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Property,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.actions import Action
from nova_lite.lifecycle.servers import ACTIONS

LIST = Rule("os_compute_api:os-instance-actions:list", READER)
SHOW = Rule("os_compute_api:os-instance-actions:show", READER)
EVENTS = Rule("os_compute_api:os-instance-actions:events", ADMIN)
DETAILS = Rule("os_compute_api:os-instance-actions:events:details", ADMIN)
RULES = (EVENTS, DETAILS)
QUERY = schemas.queries({"2.58": ("limit", "marker", "changes-since"), "2.66": ("changes-before",)}, closed="2.58")


def _name(action: Action) -> str:
    """The action's name in Nova."""
    row = ACTIONS.get(action.name)
    return row.shown_as if row else action.name


FIELDS = (
    Field("action", _name, STRING),
    Field("instance_uuid", lambda action: action.resource_id, UUID),
    Field("request_id", lambda action: action.request_id, STRING),
    Field("user_id", lambda action: action.user_id, STRING),
    Field("project_id", lambda action: action.project_id, STRING),
    Field("start_time", lambda action: micros(action.start_time), TIME),
    Field("message", lambda action: action.message, STRING_OR_NULL),
    Field("updated_at", lambda action: micros(action.updated_at), TIME_OR_NULL, since="2.58"),
)
# Read from a pair: (event, project id). Details may name hosts, tracebacks always do: both are for admins.
EVENT_FIELDS = (
    Field("event", lambda pair: pair[0].name, STRING),
    Field("start_time", lambda pair: micros(pair[0].start_time), TIME),
    Field("finish_time", lambda pair: micros(pair[0].finish_time), TIME_OR_NULL),
    Field("result", lambda pair: pair[0].result, STRING_OR_NULL),
    Field("traceback", lambda _: None, STRING_OR_NULL, until="2.50"),
    Field("traceback", lambda _: None, STRING_OR_NULL, since="2.51", role=EVENTS.role),
    Field("host", lambda pair: pair[0].host, STRING_OR_NULL, since="2.62", role=EVENTS.role),
    Field("hostId", lambda pair: host_id(pair[1], pair[0].host), STRING, since="2.62"),
    Field("details", lambda pair: pair[0].details, STRING_OR_NULL, since="2.84", role=DETAILS.role),
)
_LIST = closed({"links": LINKS}, instanceActions=many(FIELDS))
# Before 2.51 admins alone see the events.
_SHOW = closed(instanceAction=(*FIELDS, Property("events", many(EVENT_FIELDS), is_optional=True)))
_PATH = "/servers/{server_id}/os-instance-actions"


@route("GET", _PATH, policy=LIST, until="2.20", response=_LIST)
def index_living(req: Request, server_id: str) -> Body:
    """List the actions of a server that is not deleted, newest first.

    200 with all of them. 404: no such server in the project.
    """
    servers.get(req.db, server_id, project_id=req.ctxt.visible_project)
    return {"instanceActions": [view(FIELDS, action, req) for action in actions.of_server(req.db, server_id)]}


@route("GET", _PATH, policy=LIST, since="2.21", until="2.57", response=_LIST)
def index(req: Request, server_id: str) -> Body:
    """List the server's actions, newest first, also of a deleted server.

    200 with all of them. 404: no such server in the project.
    """
    servers.get_any(req.db, server_id, project_id=req.ctxt.visible_project)
    return {"instanceActions": [view(FIELDS, action, req) for action in actions.of_server(req.db, server_id)]}


@route("GET", _PATH, policy=LIST, since="2.58", query=QUERY, response=_LIST)
def index_paged(req: Request, server_id: str) -> Body:
    """List a page of the server's actions, newest first; the marker is a request id.

    200 with a page of them and a link to the next. 400: limit, marker or a time is invalid. 404: no such server in the project.
    """
    servers.get_any(req.db, server_id, project_id=req.ctxt.visible_project)
    limit = paging.limit(req)
    page = _changed(req, _after(req, actions.of_server(req.db, server_id)))
    body: Body = {"instanceActions": [view(FIELDS, action, req) for action in page[:limit]]}
    if len(page) > limit > 0:
        body["links"] = [paging.next_link(
            req, path=f"/servers/{server_id}/os-instance-actions", marker=page[limit - 1].request_id)]
    return body


def _after(req: Request, newest_first: list[Action]) -> list[Action]:
    marker = req.query.get("marker")
    if marker is None:
        return newest_first
    for position, action in enumerate(newest_first):
        if action.request_id == marker:
            return newest_first[position + 1:]
    raise errors.InvalidMarker(marker=marker)


def _changed(req: Request, candidates: list[Action]) -> list[Action]:
    since, before = _time(req, "changes-since"), _time(req, "changes-before")
    if since and before and since > before:
        raise errors.BadRequest(reason="The value of changes-since must be less than or equal to changes-before.")
    return [action for action in candidates
            if (since is None or action.updated_at >= since) and (before is None or action.updated_at <= before)]


def _time(req: Request, name: str) -> datetime.datetime | None:
    text = req.query.get(name)
    return None if text is None else read_time(name, text)


@route("GET", _PATH + "/{request_id}", policy=SHOW, until="2.50", response=_SHOW)
def show(req: Request, server_id: str, request_id: str) -> Body:
    """Show one action; admins see its events.

    200 with the action. 404: no such server in the project, or it has no such action.
    """
    action = _action(req, server_id, request_id)
    return _document(req, action, with_events=EVENTS.role in req.ctxt.roles)


@route("GET", _PATH + "/{request_id}", policy=SHOW, since="2.51", response=_SHOW)
def show_with_events(req: Request, server_id: str, request_id: str) -> Body:
    """Show one action with its events.

    200 with the action. 404: no such server in the project, or it has no such action.
    """
    return _document(req, _action(req, server_id, request_id), with_events=True)


def _action(req: Request, server_id: str, request_id: str) -> Action:
    servers.get_any(req.db, server_id, project_id=req.ctxt.visible_project)
    action = actions.by_request(req.db, server_id, request_id)
    if action is None:
        raise errors.NotFound(f"Action {request_id} not found")
    return action


def _document(req: Request, action: Action, *, with_events: bool) -> Body:
    body = view(FIELDS, action, req)
    if with_events:
        body["events"] = [_event(req, event, action) for event in action_events.merge(action, actions.events(req.db, action))]
    return {"instanceAction": body}


def _event(req: Request, event: MergedEvent, action: Action) -> Body:
    return view(EVENT_FIELDS, (event, action.project_id), req)
