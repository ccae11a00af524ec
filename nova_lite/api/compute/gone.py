# SPDX-License-Identifier: Apache-2.0
"""What ended with cells v1, the Xen agent and its consoles: refused with 410 at every microversion, as Nova does."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import ANYONE, Rule, route

# Nova asks no policy here: whoever has a token hears that the resource is gone.
GONE = Rule("os_compute_api:gone", ANYONE)


def gone(req: Request) -> errors.Gone:
    """The refusal in Nova's words, with the name of what is gone."""
    name = next((word for word in req.http.path_info.split("/") if word.startswith("os-") or word == "consoles"), "")
    return errors.Gone(reason=f"This resource is no longer available. No forwarding address is given. ({name})")


@route("GET", "/os-agents", policy=GONE, status=410)
@route("POST", "/os-agents", policy=GONE, status=410)
@route("GET", "/os-cells", policy=GONE, status=410)
@route("POST", "/os-cells", policy=GONE, status=410)
@route("GET", "/os-cells/capacities", policy=GONE, status=410)
@route("GET", "/os-cells/detail", policy=GONE, status=410)
@route("GET", "/os-cells/info", policy=GONE, status=410)
@route("POST", "/os-cells/sync_instances", policy=GONE, status=410)
def collections(req: Request) -> Body:
    """Gone."""
    raise gone(req)


@route("PUT", "/os-agents/{gone_id}", policy=GONE, status=410)
@route("DELETE", "/os-agents/{gone_id}", policy=GONE, status=410)
@route("GET", "/os-cells/{gone_id}", policy=GONE, status=410)
@route("PUT", "/os-cells/{gone_id}", policy=GONE, status=410)
@route("DELETE", "/os-cells/{gone_id}", policy=GONE, status=410)
@route("GET", "/os-cells/{gone_id}/capacities", policy=GONE, status=410)
def members(req: Request, gone_id: str) -> Body:
    """Gone."""
    raise gone(req)


@route("GET", "/servers/{server_id}/consoles", policy=GONE, status=410)
@route("POST", "/servers/{server_id}/consoles", policy=GONE, status=410)
def consoles(req: Request, server_id: str) -> Body:
    """Gone."""
    raise gone(req)


@route("GET", "/servers/{server_id}/consoles/{gone_id}", policy=GONE, status=410)
@route("DELETE", "/servers/{server_id}/consoles/{gone_id}", policy=GONE, status=410)
def console(req: Request, server_id: str, gone_id: str) -> Body:
    """Gone."""
    raise gone(req)
