# SPDX-License-Identifier: Apache-2.0
"""The APIs of nova-network, nova-cert, cells v1 and the Xen agent, which Nova removed: 410 at every microversion, as in Nova."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ANYONE, Rule

# Nova checks no policy here: any valid token gets the 410.
GONE = Rule("os_compute_api:gone", ANYONE)
_Handler = Callable[..., NoReturn]
# Path → methods.
_RESOURCES = {
    "/os-agents": "GET POST", "/os-agents/{gone_id}": "PUT DELETE",
    "/os-cells": "GET POST", "/os-cells/capacities": "GET", "/os-cells/detail": "GET", "/os-cells/info": "GET",
    "/os-cells/sync_instances": "POST", "/os-cells/{gone_id}": "GET PUT DELETE", "/os-cells/{gone_id}/capacities": "GET",
    "/os-certificates": "POST", "/os-certificates/{gone_id}": "GET",
    "/os-cloudpipe": "GET POST", "/os-cloudpipe/{gone_id}": "PUT",
    "/os-fixed-ips/{gone_id}": "GET",
    "/os-floating-ip-dns": "GET", "/os-floating-ip-dns/{gone_id}": "PUT DELETE",
    "/os-floating-ip-dns/{gone_domain}/entries/{gone_id}": "GET PUT DELETE",
    "/os-floating-ips-bulk": "GET POST", "/os-floating-ips-bulk/{gone_id}": "GET PUT",
    "/os-fping": "GET", "/os-fping/{gone_id}": "GET",
    "/os-networks": "POST", "/os-networks/add": "POST", "/os-networks/{network_id}": "DELETE",
    "/os-security-group-default-rules": "GET POST", "/os-security-group-default-rules/{gone_id}": "GET DELETE",
    "/os-tenant-networks": "POST", "/os-tenant-networks/{network_id}": "DELETE",
    "/servers/{server_id}/consoles": "GET POST", "/servers/{server_id}/consoles/{gone_id}": "GET DELETE",
    "/servers/{server_id}/os-virtual-interfaces": "GET",
}
_ACTIONS = {
    "/os-fixed-ips/{gone_id}/action": "reserve unreserve",
    "/os-networks/{network_id}/action": "disassociate disassociate_host disassociate_project associate_host",
}


def gone(req: Request) -> errors.Gone:
    """The refusal in Nova's words, with the name of the removed resource."""
    name = next((part for part in req.http.path_info.split("/") if part.startswith("os-") or part == "consoles"), "")
    return errors.Gone(reason=f"This resource is no longer available. No forwarding address is given. ({name})")


def _each_resource(handler: _Handler) -> _Handler:
    for path, methods in _RESOURCES.items():
        for method in methods.split():
            route(method, path, policy=GONE, status=410)(handler)
    return handler


def _each_action(handler: _Handler) -> _Handler:
    for path, names in _ACTIONS.items():
        for name in names.split():
            action(name, path=path, policy=GONE, status=410)(handler)
    return handler


@_each_resource
def resource(req: Request, **_ids: str) -> NoReturn:
    """Refuse. 410: Nova has removed this resource."""
    raise gone(req)


@_each_action
def resource_action(req: Request, body: Body, **_ids: str) -> NoReturn:
    """Refuse. 410: Nova has removed this action."""
    raise gone(req)
