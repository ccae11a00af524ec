# SPDX-License-Identifier: Apache-2.0
"""/extensions, /availability_zones, /agents, and /subnetpools, of which there are none."""

from __future__ import annotations

import datetime
from typing import NoReturn

from nova_lite import errors
from nova_lite.api.network import authorization, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    EMPTY_LIST,
    NULL,
    OBJECT,
    STRING,
    STRING_OR_NULL,
    closed,
    each,
    many,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db import clock
from nova_lite.db.hosts import host_lists, hosts

# Alias → name: only what is implemented, since clients send what an extension allows.
EXTENSIONS = {
    "agent": "agent",
    "auto-allocated-topology": "Auto Allocated Topology Services",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "empty-string-filtering": "Empty String Filtering Extension",
    "external-net": "Neutron external network",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "net-mtu": "Network MTU",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "port-security-groups-filtering": "Port filtering on security groups",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quota-check-limit": "Quota engine limit check",
    "quotas": "Quota management support",
    "quota_details": "Quota details management support",
    "router": "Neutron L3 Router",
    "security-group": "security-group",
    "security-groups-normalized-cidr": "Normalized CIDR field for security group rules",
    "security-groups-shared-filtering": "Security group filtering on the shared field",
    "service-type": "Neutron Service Type Management",
    "sort-key-validation": "Sort Key Validation",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-tag": "Tag support for resources with standard attribute",
    "standard-attr-timestamp": "Resource timestamps",
    "subnet-external-network": "Subnet belongs to external network",
}
_EXTENSION = closed(alias=STRING, name=STRING, description=STRING, links=EMPTY_LIST, updated=STRING)
_AGENT = closed(
    **each("id agent_type binary host availability_zone topic", STRING), description=STRING_OR_NULL, alive=BOOLEAN,
    admin_state_up=BOOLEAN, configurations=OBJECT, resources_synced=NULL,
    **each("created_at started_at heartbeat_timestamp", STRING))

UPDATE_AGENT = schemas.body("agent", {"admin_state_up": schemas.BOOL, "description": schemas.maybe(schemas.TEXT)})


@route("GET", "/extensions", policy=Rule("get_extensions", READER), response=closed(extensions=many(_EXTENSION)))
def index(_req: Request) -> Body:
    """List the extensions that are implemented. 200."""
    return {"extensions": [_extension(alias) for alias in EXTENSIONS]}


@route("GET", "/extensions/{alias}", policy=Rule("get_extension", READER), response=closed(extension=_EXTENSION))
def show(_req: Request, alias: str) -> Body:
    """Show one extension. 200. 404: it is not implemented."""
    if alias not in EXTENSIONS:
        raise errors.NotFound(f"Extension with alias {alias} does not exist", what="Extension", id=alias)
    return {"extension": _extension(alias)}


def _extension(alias: str) -> Body:
    name = EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": name,
        "links": [],
        "updated": "2026-01-01T00:00:00-00:00",
    }


@route(
    "GET", "/availability_zones", policy=Rule("get_availability_zones", READER),
    response=closed(availability_zones=many(closed(name=STRING, resource=STRING, state=STRING))),
)
def availability_zones(req: Request) -> Body:
    """List the availability zones of all hosts: every network reaches each of them. 200."""
    zones = sorted({host.availability_zone for host in hosts.hosts(req.db)})
    return {
        "availability_zones": [{"name": zone, "resource": "network", "state": "available"} for zone in zones]
    }


@route("GET", "/agents", policy=Rule("get_agents", READER), response=closed(agents=many(_AGENT)))
def agents(req: Request) -> Body:
    """List the network workers; `host` filters. 200; the list is empty to a caller who is no admin, as in Neutron."""
    if not req.ctxt.is_admin:
        return {"agents": []}
    now, down_time_s = clock.read(req.db), float(req.conf.service_down_time)
    return {
        "agents": [
            _agent(row, hosts.is_alive(row, now=now, down_time_s=down_time_s))
            for row in hosts.services(req.db, binary="nova-network", host=req.query.get("host"))
        ]
    }


@route("GET", "/agents/{agent_id}", policy=Rule("get_agents", READER), response=closed(agent=_AGENT))
def show_agent(req: Request, agent_id: str) -> Body:
    """Show one network worker. 200. 404: no such worker, or the caller is no admin."""
    if not req.ctxt.is_admin:
        raise errors.NotFound(what="Agent", id=agent_id)
    return {"agent": _agent_view(req, _worker(req, agent_id))}


@route("PUT", "/agents/{agent_id}", policy=Rule("update_agent", ADMIN), body={"2.0": UPDATE_AGENT}, response=closed(agent=_AGENT))
def update_agent(req: Request, agent_id: str, body: Body) -> Body:
    """Accept what is so already: a host is disabled by the compute API, as a whole.

    200. 400: `admin_state_up` false, or a description. 404: no such worker.
    """
    row = _worker(req, agent_id)
    authorization.refuse_unsupported(body["agent"], {"admin_state_up": not row.disabled, "description": ""})
    return {"agent": _agent_view(req, row)}


@route("DELETE", "/agents/{agent_id}", policy=Rule("delete_agent", ADMIN), status=204)
def delete_agent(req: Request, agent_id: str) -> None:
    """Delete the record of a network worker that is gone; one that runs comes back. 204. 404: no such worker."""
    host_lists.remove_service(req.db, _worker(req, agent_id))


def _worker(req: Request, agent_id: str) -> hosts.Service:
    row = hosts.get_service(req.db, agent_id)
    if row.binary != "nova-network":
        raise errors.NotFound(what="Agent", id=agent_id)
    return row


def _agent_view(req: Request, row: hosts.Service) -> Body:
    down_time_s = float(req.conf.service_down_time)
    return _agent(row, hosts.is_alive(row, now=clock.read(req.db), down_time_s=down_time_s))


def _time(when: datetime.datetime) -> str:
    """As Neutron's agents have it, other than all its other times."""
    return when.strftime("%Y-%m-%d %H:%M:%S")


def _agent(row: hosts.Service, is_alive: bool) -> Body:  # noqa: FBT001 - private
    return {
        "id": row.id,
        "agent_type": "nova-network",
        "binary": row.binary,
        "host": row.host,
        "alive": is_alive,
        "admin_state_up": not row.disabled,
        "availability_zone": row.availability_zone,
        "topic": "network",
        "description": row.disabled_reason,
        "configurations": {},
        "resources_synced": None,
        "created_at": _time(row.created_at),
        "started_at": _time(row.created_at),
        "heartbeat_timestamp": _time(row.seen_at),
    }


@route("GET", "/service-providers", policy=Rule("get_service_provider", READER), response=closed(service_providers=EMPTY_LIST))
def service_providers(_req: Request) -> Body:
    """List providers of services such as VPN. 200 with an empty list: there are none."""
    return {"service_providers": []}


@route("GET", "/subnetpools", policy=Rule("get_subnetpools", READER), response=closed(subnetpools=EMPTY_LIST))
def subnet_pools(_req: Request) -> Body:
    """List subnet pools. 200 with an empty list: they are not implemented."""
    return {"subnetpools": []}


@route("GET", "/subnetpools/{pool_id}", policy=Rule("get_subnetpool", READER))
def show_subnet_pool(_req: Request, pool_id: str) -> NoReturn:
    """Show one subnet pool. 404 always: there are none."""
    raise errors.NotFound(f"Subnet pool {pool_id} could not be found", what="Subnet pool", id=pool_id)
