# SPDX-License-Identifier: Apache-2.0
"""/extensions, /quotas, /availability_zones, /agents, and /subnetpools, of which there are none."""

from __future__ import annotations

import datetime
from typing import NoReturn

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    EMPTY_LIST,
    INTEGER,
    NULL,
    OBJECT,
    STRING,
    STRING_OR_NULL,
    closed,
    each,
    many,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db import clock
from nova_lite.db.hosts import hosts
from nova_lite.db.network import floating_ips, networks, ports, routers, security_groups
from nova_lite.db.quotas import quotas

# Alias → name: only what is implemented, since clients send what an extension allows.
EXTENSIONS = {
    "agent": "agent",
    "auto-allocated-topology": "Auto Allocated Topology Services",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "external-net": "Neutron external network",
    "net-mtu": "Network MTU",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "port-security-groups-filtering": "Port filtering on security groups",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quotas": "Quota management support",
    "quota_details": "Quota details management support",
    "security-group": "security-group",
    "router": "Neutron L3 Router",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-timestamp": "Resource timestamps",
}
# Neutron's name of a quota → ours.
_QUOTAS = {
    "network": "networks",
    "subnet": "subnets",
    "port": "ports",
    "security_group": "security_groups",
    "security_group_rule": "security_group_rules",
    "floatingip": "floating_ips",
    "router": "routers",
}
# Quotas of resources that do not exist here: always 0.
_ABSENT = ("subnetpool", "rbac_policy")
_EXTENSION = closed(alias=STRING, name=STRING, description=STRING, links=EMPTY_LIST, updated=STRING)
_LIMITS = closed(quota=closed(**each(" ".join((*_QUOTAS, *_ABSENT)), INTEGER)))
_DETAILS = closed(quota=closed(**each(" ".join((*_QUOTAS, *_ABSENT)), closed(limit=INTEGER, used=INTEGER, reserved=INTEGER))))
_AGENT = closed(
    **each("id agent_type binary host availability_zone topic", STRING), description=STRING_OR_NULL, alive=BOOLEAN,
    admin_state_up=BOOLEAN, configurations=OBJECT, resources_synced=NULL,
    **each("created_at started_at heartbeat_timestamp", STRING))


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


@route("GET", "/quotas/{project_id}", policy=Rule("get_quota", READER), response=_LIMITS)
def show_quota(req: Request, project_id: str) -> Body:
    """Show the project's limits. 200. 404: another project's, and the caller is no admin."""
    return {"quota": {**_limits(req, _own(req, project_id)), **dict.fromkeys(_ABSENT, 0)}}


@route("GET", "/quotas/{project_id}/default", policy=Rule("get_quota", READER), response=_LIMITS)
def show_default_quota(req: Request, project_id: str) -> Body:
    """Show the limits of a project that has none of its own. 200. 404: as for its limits."""
    _own(req, project_id)
    return {
        "quota": {
            **{name: quotas.defaults(req.db, req.conf)[ours] for name, ours in _QUOTAS.items()},
            **dict.fromkeys(_ABSENT, 0),
        }
    }


@route("GET", "/quotas/{project_id}/details", policy=Rule("get_quota", READER), response=_DETAILS)
@route("GET", "/quotas/{project_id}/details.json", policy=Rule("get_quota", READER), response=_DETAILS)
def show_quota_details(req: Request, project_id: str) -> Body:
    """Show the project's limits and usage. 200. 404: as for its limits."""
    limits = _limits(req, _own(req, project_id))
    used = {
        "network": networks.count(req.db, project_id),
        "subnet": networks.count_subnets(req.db, project_id),
        "port": ports.count(req.db, project_id),
        "security_group": security_groups.count(req.db, project_id),
        "security_group_rule": security_groups.count_rules(req.db, project_id),
        "floatingip": floating_ips.count(req.db, project_id),
        "router": routers.count(req.db, project_id),
    }
    details = {name: {"limit": limits[name], "used": used[name], "reserved": 0} for name in _QUOTAS}
    return {"quota": {**details, **{name: {"limit": 0, "used": 0, "reserved": 0} for name in _ABSENT}}}


def _own(req: Request, project_id: str) -> str:
    if not req.ctxt.is_admin and project_id != req.ctxt.project_id:
        raise errors.NotFound(what="Quota of project", id=project_id)
    return project_id


def _limits(req: Request, project_id: str) -> dict[str, int]:
    limits = quotas.limits(req.db, req.conf, project_id)
    return {name: limits[ours] for name, ours in _QUOTAS.items()}


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
    row = hosts.get_service(req.db, agent_id)
    if row.binary != "nova-network":
        raise errors.NotFound(what="Agent", id=agent_id)
    return {
        "agent": _agent(row, hosts.is_alive(row, now=clock.read(req.db), down_time_s=float(req.conf.service_down_time)))
    }


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
