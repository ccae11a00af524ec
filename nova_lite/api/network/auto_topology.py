# SPDX-License-Identifier: Apache-2.0
"""/auto-allocated-topology: a network, subnet and router for a project that has none, in one request."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.network import authorization
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.network import auto_networks


@route(
    "GET", "/auto-allocated-topology/{project_id}", policy=Rule("get_auto_allocated_topology", MEMBER),
    response=closed(auto_allocated_topology=closed(id=STRING, tenant_id=STRING, project_id=STRING)),
)
def obtain(req: Request, project_id: str) -> Body:
    """Show the project's default network, creating it with subnet and router if it has none: a GET that writes, as in Neutron.

    200 with the network's id; `fields=dry-run` creates nothing. 403: a quota would be exceeded. 404: another
    project's, and the caller is no admin. 409: it has several usable networks.
    """
    project_id = _own(req, project_id)
    if "dry-run" in req.query.getall("fields"):
        return _view("dry-run=pass", project_id)
    with req.database.writer() as session:
        network = auto_networks.obtain(session, req.conf, project_id, rng=authorization.RNG)
    return _view(network.id, project_id)


@route("DELETE", "/auto-allocated-topology/{project_id}", policy=Rule("delete_auto_allocated_topology", MEMBER), status=204)
def delete(req: Request, project_id: str) -> None:
    """Delete the project's default network with its subnet and router.

    204. 404: another project's. 409: a server uses the network.
    """
    project_id = _own(req, project_id)
    auto_networks.remove(req.db, project_id)


def _own(req: Request, project_id: str) -> str:
    """The project of the path; openstackclient sends None for the caller's own."""
    if project_id in ("None", req.ctxt.project_id):
        return req.ctxt.project_id
    if not req.ctxt.is_admin:
        raise errors.NotFound(what="Auto-allocated topology of project", id=project_id)
    return project_id


def _view(network_id: str, project_id: str) -> Body:
    return {"auto_allocated_topology": {"id": network_id, "tenant_id": project_id, "project_id": project_id}}
