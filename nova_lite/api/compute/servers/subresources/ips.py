# SPDX-License-Identifier: Apache-2.0
"""ips: the addresses of one server by network name."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.views import PLAIN_ADDRESSES, plain_addresses
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db.compute import server_lists


def _addresses(req: Request, server_id: str) -> dict[str, list[Body]]:
    server = begin_action.find(req, server_id)
    return plain_addresses(server_lists.addresses(req.db, [server.id]).get(server.id, {}))


@route("GET", "/servers/{server_id}/ips", policy=Rule("os_compute_api:ips:index", READER),
       response=closed(addresses={"type": "object", "additionalProperties": PLAIN_ADDRESSES}))
def index(req: Request, server_id: str) -> Body:
    """Show all addresses of the server.

    200 with them by network name. 404: no such server in the project.
    """
    return {"addresses": _addresses(req, server_id)}


@route("GET", "/servers/{server_id}/ips/{network}", policy=Rule("os_compute_api:ips:show", READER),
       response={"type": "object", "additionalProperties": PLAIN_ADDRESSES, "maxProperties": 1})
def show(req: Request, server_id: str, network: str) -> Body:
    """Show the server's addresses in the network of this name.

    200 with them. 404: no such server in the project, or it is not on the network.
    """
    by_network = _addresses(req, server_id)
    if network not in by_network:
        raise errors.NotFound("Instance is not a member of specified network")
    return {network: by_network[network]}
