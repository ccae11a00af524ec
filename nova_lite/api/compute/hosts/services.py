# SPDX-License-Identifier: Apache-2.0
"""Daemons: whether they live, and an operator's word on whether new guests may come to them."""

from __future__ import annotations

import re

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.base import utcnow
from nova_lite.db.hosts import host_lists, hosts
from nova_lite.db.hosts.hosts import Service

LIST = Rule("os_compute_api:os-services:list", ADMIN)
UPDATE = Rule("os_compute_api:os-services:update", ADMIN)
DELETE = Rule("os_compute_api:os-services:delete", ADMIN)
QUERY = schemas.queries({"2.0": ("host", "binary")})
_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_WHICH = {"host": schemas.HOST, "binary": {"type": "string", "minLength": 1, "maxLength": 255}}
_OLD = schemas.closed({**_WHICH, "disabled_reason": _REASON}, required=("host", "binary"))
_OLD_FORCED = schemas.closed(
    {**_WHICH, "disabled_reason": _REASON, "forced_down": schemas.BOOLEAN}, required=("host", "binary"))
_NEW = schemas.closed(
    {"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": schemas.BOOLEAN})
_OLD_WORDS = {"enable", "disable", "disable-log-reason", "force-down"}

# Read from (service, is it alive, its zone).
FIELDS = (
    Field("id", lambda seen: seen[0].number, until="2.52"),
    Field("id", lambda seen: seen[0].id, since="2.53"),
    Field("binary", lambda seen: seen[0].binary),
    Field("host", lambda seen: seen[0].host),
    Field("zone", lambda seen: seen[2]),
    Field("status", lambda seen: "disabled" if seen[0].disabled else "enabled"),
    Field("state", lambda seen: "up" if seen[1] else "down"),
    Field("updated_at", lambda seen: micros(seen[0].seen_at)),
    Field("disabled_reason", lambda seen: seen[0].disabled_reason),
    Field("forced_down", lambda seen: seen[0].forced_down, since="2.11"),
)


def _show(req: Request, services: list[Service]) -> list[Body]:
    now, zones = utcnow(), host_lists.zones(req.db)
    return [view(FIELDS, (service, hosts.is_alive(service, now=now, down_time_s=req.conf.service_down_time),
                          host_lists.zone_of(service, zones)), req) for service in services]


@route("GET", "/os-services", policy=LIST, query=QUERY)
def index(req: Request) -> Body:
    """All daemons, or those of one host or one name."""
    found = hosts.services(req.db, binary=req.query.get("binary"), host=req.query.get("host"))
    return {"services": _show(req, found)}


@route("PUT", "/os-services/{service_id}", policy=UPDATE, until="2.52", body={"2.0": _OLD, "2.11": _OLD_FORCED})
def update_by_name(req: Request, body: Body, service_id: str) -> Body:
    """`enable`, `disable`, `disable-log-reason` or `force-down` the daemon that the body names."""
    word = service_id  # the path is the same as that of the later versions
    if word not in _OLD_WORDS:
        raise errors.NotFound("Unknown action")
    service = host_lists.service(req.db, host=body["host"], binary=body["binary"])
    _refuse_other(service)
    shown: Body = {"host": service.host, "binary": service.binary}
    if word == "force-down":
        if "forced_down" not in body:
            raise errors.BadRequest(reason="Missing forced_down field")
        service.forced_down = schemas.is_true(body["forced_down"])
        return {"service": {**shown, "forced_down": service.forced_down}}
    if word == "disable-log-reason" and "disabled_reason" not in body:
        raise errors.BadRequest(reason="Missing disabled reason field")
    service.disabled = word != "enable"
    service.disabled_reason = body["disabled_reason"] if word == "disable-log-reason" else None
    shown["status"] = "disabled" if service.disabled else "enabled"
    if word == "disable-log-reason":
        shown["disabled_reason"] = service.disabled_reason
    return {"service": shown}


@route("PUT", "/os-services/{service_id}", policy=UPDATE, since="2.53", body={"2.53": _NEW})
def update(req: Request, body: Body, service_id: str) -> Body:
    """Enable or disable a compute worker, or say that it is down whatever it reports."""
    service = _find(req, service_id)
    _refuse_other(service)
    if not body:
        raise errors.BadRequest(reason="No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    if "disabled_reason" in body and body.get("status") != "disabled":
        raise errors.BadRequest(reason='Specifying disabled_reason requires that status is "disabled".')
    if "status" in body:
        service.disabled = body["status"] == "disabled"
        service.disabled_reason = body.get("disabled_reason")
    if "forced_down" in body:
        service.forced_down = schemas.is_true(body["forced_down"])
    return {"service": _show(req, [service])[0]}


@route("DELETE", "/os-services/{service_id}", policy=DELETE, until="2.52", status=204)
def delete_by_number(req: Request, service_id: str) -> None:
    """Forget a daemon that is no more."""
    number = integer(service_id)
    if number is None:
        raise errors.BadRequest(reason=f"Invalid service id {service_id}")
    host_lists.remove_service(req.db, host_lists.numbered(req.db, number))


@route("DELETE", "/os-services/{service_id}", policy=DELETE, since="2.53", status=204)
def delete(req: Request, service_id: str) -> None:
    """Forget a daemon that is no more; with a compute worker its host, which must be empty."""
    host_lists.remove_service(req.db, _find(req, service_id))


def _find(req: Request, service_id: str) -> Service:
    if not re.fullmatch(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", service_id):
        raise errors.BadRequest(reason=f"Invalid uuid {service_id}")
    return hosts.get_service(req.db, service_id)


def _refuse_other(service: Service) -> None:
    if service.binary != host_lists.COMPUTE:
        raise errors.BadRequest(reason=f"Updating a {service.binary} service is not supported. Only nova-compute "
                                       "services can be updated.")
