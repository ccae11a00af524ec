# SPDX-License-Identifier: Apache-2.0
"""One server: show, update, delete."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import requested_destination
from nova_lite.api.compute.servers import begin_action, create_schemas, deletion, views
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute.servers import Server

# Fields of the request and the columns that they change.
_COLUMNS = {"name": "name", "description": "description", "hostname": "hostname", "accessIPv4": "access_ip_v4",
            "accessIPv6": "access_ip_v6", "OS-DCF:diskConfig": "disk_config", "pinned_availability_zone": "requested_az"}


@route("GET", "/servers/{server_id}", policy=Rule("os_compute_api:servers:show", READER),
       response=closed(server=views.SHOW_RESPONSE))
def show(req: Request, server_id: str) -> Body:
    """Show one server in full.

    200 with the server; what it shows depends on microversion and policy. 404: no such server in the project.
    """
    return {"server": views.show(req, server_id)}


@route("PUT", "/servers/{server_id}", policy=Rule("os_compute_api:servers:update", MEMBER), body=create_schemas.UPDATE,
       response=closed(server=views.UPDATE_RESPONSE))
def update(req: Request, body: Body, server_id: str) -> Body:
    """Change names, addresses, description or pinned zone; a new host name reaches the guest through its metadata only.

    200 with the server. 400: there is no such zone. 404: no such server in the project. 409: the server runs in another zone
    than the one to pin it to.
    """
    server = begin_action.find(req, server_id)
    _check_pin(req, server, body["server"].get("pinned_availability_zone"))
    for name, value in body["server"].items():
        setattr(server, _COLUMNS[name], value)
    req.db.flush()
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server.id)
    return {"server": views.document(req, server, views.UPDATE)}


def _check_pin(req: Request, server: Server, zone: str | None) -> None:
    """:raises errors.BadRequest: there is no such zone. :raises errors.Conflict: the server runs in another zone."""
    requested_destination.check(req, zone=zone)
    if zone is not None and server.host is not None and server.availability_zone != zone:
        raise errors.Conflict(reason=(
            f"Cannot pin server {server.id} to availability zone {zone}: it runs in {server.availability_zone}"))


@route("DELETE", "/servers/{server_id}", policy=Rule("os_compute_api:servers:delete", MEMBER), status=204)
def delete(req: Request, server_id: str) -> None:
    """Delete the server: for good, or as a soft delete where `[compute] reclaim_instance_interval` is set.

    204 in every state, also while other actions run and when it is being deleted already. 404: no such server in the
    project. 409: it is locked.
    """
    deletion.delete(req, begin_action.find(req, server_id))
