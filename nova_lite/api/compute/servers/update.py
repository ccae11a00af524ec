# SPDX-License-Identifier: Apache-2.0
"""One server: shown, changed, deleted."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import requested_destination
from nova_lite.api.compute.servers import begin_action, create_schemas, deletion, views
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute.servers import Server

# Words of the request and the columns that they change.
_COLUMNS = {"name": "name", "description": "description", "hostname": "hostname", "accessIPv4": "access_ip_v4",
            "accessIPv6": "access_ip_v6", "OS-DCF:diskConfig": "disk_config", "pinned_availability_zone": "wanted_zone"}


@route("GET", "/servers/{server_id}", policy=Rule("os_compute_api:servers:show", READER))
def show(req: Request, server_id: str) -> Body:
    """One server, whole."""
    return {"server": views.shown(req, server_id)}


@route("PUT", "/servers/{server_id}", policy=Rule("os_compute_api:servers:update", MEMBER), body=create_schemas.UPDATE)
def update(req: Request, body: Body, server_id: str) -> Body:
    """Change what may change while the guest runs; the guest sees a new host name in its metadata only."""
    server = begin_action.find(req, server_id)
    _check_pin(req, server, body["server"].get("pinned_availability_zone"))
    for word, value in body["server"].items():
        setattr(server, _COLUMNS[word], value)
    req.db.flush()
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server.id)
    return {"server": views.document(req, server, views.UPDATE)}


def _check_pin(req: Request, server: Server, zone: str | None) -> None:
    """:raises errors.BadRequest: no such zone. :raises errors.Conflict: the server is in another."""
    requested_destination.check(req, zone=zone)
    if zone is not None and server.host is not None and server.availability_zone != zone:
        raise errors.Conflict(reason=(
            f"Cannot pin server {server.id} to availability zone {zone}: it runs in {server.availability_zone}"))


@route("DELETE", "/servers/{server_id}", policy=Rule("os_compute_api:servers:delete", MEMBER), status=204)
def delete(req: Request, server_id: str) -> None:
    """Delete the server, for good or softly; asked for again meanwhile, nothing more is done."""
    deletion.delete(req, begin_action.find(req, server_id))
