# SPDX-License-Identifier: Apache-2.0
"""What ended with nova-network and nova-cert: refused with 410 at every microversion, as Nova does."""

from __future__ import annotations

from nova_lite.api.compute.gone import GONE, gone
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action, route


@route("POST", "/os-certificates", policy=GONE, status=410)
@route("GET", "/os-cloudpipe", policy=GONE, status=410)
@route("POST", "/os-cloudpipe", policy=GONE, status=410)
@route("GET", "/os-floating-ip-dns", policy=GONE, status=410)
@route("GET", "/os-floating-ips-bulk", policy=GONE, status=410)
@route("POST", "/os-floating-ips-bulk", policy=GONE, status=410)
@route("GET", "/os-fping", policy=GONE, status=410)
@route("POST", "/os-networks", policy=GONE, status=410)
@route("POST", "/os-networks/add", policy=GONE, status=410)
@route("GET", "/os-security-group-default-rules", policy=GONE, status=410)
@route("POST", "/os-security-group-default-rules", policy=GONE, status=410)
@route("POST", "/os-tenant-networks", policy=GONE, status=410)
def collections(req: Request) -> Body:
    """Gone."""
    raise gone(req)


@route("GET", "/os-certificates/{gone_id}", policy=GONE, status=410)
@route("PUT", "/os-cloudpipe/{gone_id}", policy=GONE, status=410)
@route("GET", "/os-fixed-ips/{gone_id}", policy=GONE, status=410)
@route("PUT", "/os-floating-ip-dns/{gone_id}", policy=GONE, status=410)
@route("DELETE", "/os-floating-ip-dns/{gone_id}", policy=GONE, status=410)
@route("GET", "/os-floating-ips-bulk/{gone_id}", policy=GONE, status=410)
@route("PUT", "/os-floating-ips-bulk/{gone_id}", policy=GONE, status=410)
@route("GET", "/os-fping/{gone_id}", policy=GONE, status=410)
@route("GET", "/os-security-group-default-rules/{gone_id}", policy=GONE, status=410)
@route("DELETE", "/os-security-group-default-rules/{gone_id}", policy=GONE, status=410)
def members(req: Request, gone_id: str) -> Body:
    """Gone."""
    raise gone(req)


@route("DELETE", "/os-networks/{network_id}", policy=GONE, status=410)
@route("DELETE", "/os-tenant-networks/{network_id}", policy=GONE, status=410)
def networks(req: Request, network_id: str) -> Body:
    """Gone, unlike the reading of them."""
    raise gone(req)


@route("GET", "/servers/{server_id}/os-virtual-interfaces", policy=GONE, status=410)
def virtual_interfaces(req: Request, server_id: str) -> Body:
    """Gone."""
    raise gone(req)


@route("GET", "/os-floating-ip-dns/{gone_domain}/entries/{gone_id}", policy=GONE, status=410)
@route("PUT", "/os-floating-ip-dns/{gone_domain}/entries/{gone_id}", policy=GONE, status=410)
@route("DELETE", "/os-floating-ip-dns/{gone_domain}/entries/{gone_id}", policy=GONE, status=410)
def entries(req: Request, gone_domain: str, gone_id: str) -> Body:
    """Gone."""
    raise gone(req)


@action("reserve", path="/os-fixed-ips/{gone_id}/action", policy=GONE, status=410)
@action("unreserve", path="/os-fixed-ips/{gone_id}/action", policy=GONE, status=410)
def fixed_ip_actions(req: Request, body: Body, gone_id: str) -> Body:
    """Gone."""
    raise gone(req)


@action("disassociate", path="/os-networks/{network_id}/action", policy=GONE, status=410)
@action("disassociate_host", path="/os-networks/{network_id}/action", policy=GONE, status=410)
@action("disassociate_project", path="/os-networks/{network_id}/action", policy=GONE, status=410)
@action("associate_host", path="/os-networks/{network_id}/action", policy=GONE, status=410)
def network_actions(req: Request, body: Body, network_id: str) -> Body:
    """Gone."""
    raise gone(req)
