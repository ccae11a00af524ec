# SPDX-License-Identifier: Apache-2.0
"""Security groups of one server with their incoming rules."""

from __future__ import annotations

from nova_lite.api.compute.legacy.security_group_views import GROUP, show_all
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db.network import ports, security_groups


@route("GET", "/servers/{server_id}/os-security-groups", policy=Rule("os_compute_api:os-security-groups:list", READER),
       response=closed(security_groups=many(GROUP)))
def index(req: Request, server_id: str) -> Body:
    """List the security groups of the server's ports.

    200 with them. 404: no such server in the project.
    """
    server = begin_action.find(req, server_id)
    server_ports = ports.of_servers(req.db, [server.id])[server.id]
    ids = {member.group_id for port in server_ports for member in port.security_groups}
    groups = security_groups.find(req.db, project_id=None, filters={"id": sorted(ids)}) if ids else []
    return {"security_groups": show_all(req, groups)}
