# SPDX-License-Identifier: Apache-2.0
"""How a guest's CPUs and memory lie on NUMA nodes; servers that ask for none have none."""

from __future__ import annotations

from nova_lite.api.compute import asking
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import ADMIN, READER, Rule, route

HOST = Rule("compute:server:topology:host:index", ADMIN)
RULES = (HOST,)


@route("GET", "/servers/{server_id}/topology", policy=Rule("compute:server:topology:index", READER), since="2.78")
def show(req: Request, server_id: str) -> Body:
    """The guest's nodes, as its flavor asks for them."""
    asking.find(req, server_id)
    return {"nodes": [], "pagesize_kb": None}
