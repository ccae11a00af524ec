# SPDX-License-Identifier: Apache-2.0
"""External events: what other services report about servers - a port was plugged, a network changed, a volume grew."""

from __future__ import annotations

import sqlalchemy as sa

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import SERVICE, Rule
from nova_lite.db.compute.servers import Server

OK, MIXED, NOT_FOUND, NO_HOST = 200, 207, 404, 422
_OLD = ("network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted")
# Event names by the microversion that added them.
_NAMES = {"2.0": _OLD, "2.51": (*_OLD, "volume-extended"), "2.76": (*_OLD, "volume-extended", "power-update"),
          "2.82": (*_OLD, "volume-extended", "power-update", "accelerator-request-bound"),
          "2.93": (*_OLD, "volume-extended", "power-update", "accelerator-request-bound", "volume-reimaged")}


def _schema(names: tuple[str, ...]) -> schemas.Schema:
    event = schemas.closed({
        "name": {"enum": list(names)}, "server_uuid": schemas.UUID, "status": {"enum": ["failed", "completed", "in-progress"]},
        "tag": schemas.NAME}, required=("name", "server_uuid"))
    return schemas.keyed("events", {"type": "array", "minItems": 1, "items": event})


@route("POST", "/os-server-external-events", policy=Rule("os_compute_api:os-server-external-events:create", SERVICE),
       body={version: _schema(names) for version, names in _NAMES.items()}, response=closed(events=many(closed(
           {"tag": STRING}, **each("name server_uuid status", STRING), code=INTEGER))))
def create(req: Request, body: Body) -> Reply:
    """Accept events; those about a network refresh what the guest's metadata service says.

    No action waits for such events, since the network worker itself reports when a port is plugged.
    200 with the events, each with a code 200; 207 if some have a code 404 (no such server) or 422 (it is on no host). 404: none has a code 200.
    """
    events = body["events"]
    ids = {event["server_uuid"] for event in events}
    hosts = {row.id: row.host for row in req.db.execute(
        sa.select(Server.id, Server.host).where(Server.id.in_(ids), Server.deleted_at.is_(None)))}
    results = [_result(event, hosts) for event in events]
    if all(event["code"] != OK for event in results):
        raise errors.NotFound("No instances found for any event")
    for server_id in {event["server_uuid"] for event in results if event["code"] == OK and event["name"] in _OLD}:
        req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server_id)
    return Reply({"events": results}, status=OK if all(event["code"] == OK for event in results) else MIXED)


def _result(event: Body, hosts: dict[str, str | None]) -> Body:
    server_id = event["server_uuid"]
    if server_id not in hosts:
        return {**event, "status": "failed", "code": NOT_FOUND}
    if hosts[server_id] is None:
        return {**event, "status": "failed", "code": NO_HOST}
    return {**event, "status": event.get("status", "completed"), "code": OK}
