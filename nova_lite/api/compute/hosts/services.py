# SPDX-License-Identifier: Apache-2.0
"""Compute services (the daemons): whether they are up, and whether an operator has disabled them for new servers."""

from __future__ import annotations

import re
from typing import NamedTuple

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    STRING,
    STRING_OR_NULL,
    TIME_OR_NULL,
    UUID,
    Field,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db import clock
from nova_lite.db.hosts import host_lists, hosts
from nova_lite.db.hosts.hosts import Service

LIST = Rule("os_compute_api:os-services:list", ADMIN)
UPDATE = Rule("os_compute_api:os-services:update", ADMIN)
DELETE = Rule("os_compute_api:os-services:delete", ADMIN)
QUERY = schemas.queries({"2.0": ("host", "binary")})
_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_NAME = {"host": schemas.HOST, "binary": {"type": "string", "minLength": 1, "maxLength": 255}}
_OLD = schemas.closed({**_NAME, "disabled_reason": _REASON}, required=("host", "binary"))
_OLD_FORCED = schemas.closed(
    {**_NAME, "disabled_reason": _REASON, "forced_down": schemas.BOOLEAN}, required=("host", "binary"))
_NEW = schemas.closed(
    {"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": schemas.BOOLEAN})
_COMMANDS = {"enable", "disable", "disable-log-reason", "force-down"}


class ServiceStatus(NamedTuple):
    """A service with whether it is up and its availability zone."""

    service: Service
    is_up: bool
    zone: str


FIELDS = (
    Field("id", lambda status: status.service.number, INTEGER, until="2.52"),
    Field("id", lambda status: status.service.id, UUID, since="2.53"),
    Field("binary", lambda status: status.service.binary, STRING),
    Field("host", lambda status: status.service.host, STRING),
    Field("zone", lambda status: status.zone, STRING),
    Field("status", lambda status: "disabled" if status.service.disabled else "enabled", {"enum": ["enabled", "disabled"]}),
    Field("state", lambda status: "up" if status.is_up else "down", {"enum": ["up", "down"]}),
    Field("updated_at", lambda status: micros(status.service.seen_at), TIME_OR_NULL),
    Field("disabled_reason", lambda status: status.service.disabled_reason, STRING_OR_NULL),
    Field("forced_down", lambda status: status.service.forced_down, BOOLEAN, since="2.11"),
)
_CHANGE = closed(service=closed(
    {"status": STRING, "disabled_reason": STRING_OR_NULL, "forced_down": BOOLEAN}, host=STRING, binary=STRING))


def _documents(req: Request, services: list[Service]) -> list[Body]:
    now, zones = clock.read(req.db), host_lists.availability_zones(req.db)
    return [view(FIELDS, ServiceStatus(
        service, hosts.is_alive(service, now=now, down_time_s=req.conf.service_down_time),
        host_lists.az_of(service, zones)), req) for service in services]


@route("GET", "/os-services", policy=LIST, query=QUERY, response=closed(services=many(FIELDS)))
def index(req: Request) -> Body:
    """List all services, or those of one host or binary, in the order in which they first came. 200."""
    services = hosts.services(req.db, binary=req.query.get("binary"), host=req.query.get("host"))
    return {"services": _documents(req, sorted(services, key=lambda service: service.number))}


@route("PUT", "/os-services/{service_id}", policy=UPDATE, until="2.52", body={"2.0": _OLD, "2.11": _OLD_FORCED},
       response=_CHANGE)
def update_by_name(req: Request, body: Body, service_id: str) -> Body:
    """Run `enable`, `disable`, `disable-log-reason` or `force-down` on the service that the body names.

    200 with the fields that changed. 400: not a compute service, or the command's own field is missing. 404: no such
    command or service.
    """
    command = service_id  # the path is that of the later versions
    if command not in _COMMANDS:
        raise errors.NotFound("Unknown action")
    service = host_lists.service(req.db, host=body["host"], binary=body["binary"])
    _require_compute(service)
    change: Body = {"host": service.host, "binary": service.binary}
    if command == "force-down":
        if "forced_down" not in body:
            raise errors.BadRequest(reason="Missing forced_down field")
        hosts.set_forced_down(req.db, service, forced_down=schemas.is_true(body["forced_down"]))
        return {"service": {**change, "forced_down": service.forced_down}}
    if command == "disable-log-reason" and "disabled_reason" not in body:
        raise errors.BadRequest(reason="Missing disabled reason field")
    hosts.set_disabled(req.db, service, disabled=command != "enable",
                       reason=body["disabled_reason"] if command == "disable-log-reason" else None)
    change["status"] = "disabled" if service.disabled else "enabled"
    if command == "disable-log-reason":
        change["disabled_reason"] = service.disabled_reason
    return {"service": change}


@route("PUT", "/os-services/{service_id}", policy=UPDATE, since="2.53", body={"2.53": _NEW},
       response=closed(service=FIELDS))
def update(req: Request, body: Body, service_id: str) -> Body:
    """Enable or disable a compute service, or force it down whatever it reports.

    200 with the service. 400: the id is no UUID, not a compute service, nothing to change, or a reason without
    `disabled`. 404: no such service.
    """
    service = _find(req, service_id)
    _require_compute(service)
    if not body:
        raise errors.BadRequest(reason="No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    if "disabled_reason" in body and body.get("status") != "disabled":
        raise errors.BadRequest(reason='Specifying disabled_reason requires that status is "disabled".')
    if "status" in body:
        hosts.set_disabled(req.db, service, disabled=body["status"] == "disabled", reason=body.get("disabled_reason"))
    if "forced_down" in body:
        hosts.set_forced_down(req.db, service, forced_down=schemas.is_true(body["forced_down"]))
    return {"service": _documents(req, [service])[0]}


@route("DELETE", "/os-services/{service_id}", policy=DELETE, until="2.52", status=204)
def delete_by_number(req: Request, service_id: str) -> None:
    """Delete the record of a service that is gone.

    204. 400: the id is no number. 404: no such service. 409: its host has servers.
    """
    number = integer(service_id)
    if number is None:
        raise errors.BadRequest(reason=f"Invalid service id {service_id}")
    host_lists.remove_service(req.db, host_lists.numbered(req.db, number))


@route("DELETE", "/os-services/{service_id}", policy=DELETE, since="2.53", status=204)
def delete(req: Request, service_id: str) -> None:
    """Delete the record of a service that is gone; with a compute service its host.

    204. 400: the id is no UUID. 404: no such service. 409: its host has servers.
    """
    host_lists.remove_service(req.db, _find(req, service_id))


def _find(req: Request, service_id: str) -> Service:
    if not re.fullmatch(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", service_id):
        raise errors.BadRequest(reason=f"Invalid uuid {service_id}")
    return hosts.get_service(req.db, service_id)


def _require_compute(service: Service) -> None:
    if service.binary != hosts.COMPUTE:
        raise errors.BadRequest(reason=f"Updating a {service.binary} service is not supported. Only nova-compute "
                                       "services can be updated.")
