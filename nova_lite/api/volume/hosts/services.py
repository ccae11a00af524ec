# SPDX-License-Identifier: Apache-2.0
"""Services of block storage: whether they are up, and whether operators let them have new volumes."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.links import micros
from nova_lite.api.volume.hosts import daemons
from nova_lite.api.volume.hosts.daemons import Daemon
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    NULL,
    STRING,
    STRING_OR_NULL,
    TIME_OR_NULL,
    Field,
    Property,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.hosts import hosts
from nova_lite.db.volume import backends

_UPDATE = Rule("volume_extension:services:update", ADMIN)
FIELDS = (
    Field("binary", lambda daemon: daemon.binary, STRING),
    Field("host", lambda daemon: daemon.host, STRING),
    Field("zone", lambda daemon: daemon.zone, STRING),
    Field("status", lambda daemon: "disabled" if daemon.is_disabled else "enabled", {"enum": ["enabled", "disabled"]}),
    Field("state", lambda daemon: "up" if daemon.is_up else "down", {"enum": ["up", "down"]}),
    Field("updated_at", lambda daemon: micros(daemon.service.seen_at), TIME_OR_NULL),
    Field("disabled_reason", lambda daemon: daemon.disabled_reason, STRING_OR_NULL),
    Field("cluster", lambda _: None, NULL, since="3.7"),  # there are no clusters
)
BACKEND_FIELDS = (
    Field("replication_status", lambda _: "disabled", STRING),
    Field("active_backend_id", lambda _: None, NULL),
    Field("frozen", lambda daemon: daemon.is_frozen, BOOLEAN),
    Field("backend_state", lambda daemon: "up" if daemon.is_up else "down", {"enum": ["up", "down"]}, since="3.49"),
)
_SHOWN: tuple[Field | Property, ...] = (*FIELDS, *(Property(field.name, field.schema, since=field.since, is_optional=True) for field in BACKEND_FIELDS))
_TEXT = {"type": ["string", "null"], "maxLength": 255}
_NAMED = {"host": schemas.HOST, "binary": _TEXT, "service": _TEXT}
_REASON = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}
SET = schemas.closed({**_NAMED, "disabled_reason": _TEXT}, required=("host",))
SET_WITH_REASON = schemas.closed({**_NAMED, "disabled_reason": _REASON}, required=("host", "disabled_reason"))
FREEZE = schemas.closed({"host": schemas.HOST})
FREEZE_CLUSTER = schemas.closed({"host": {**schemas.HOST, "type": ["string", "null"]}, "cluster": _TEXT})
FAIL_OVER = schemas.opened({"host": _TEXT, "backend_id": _TEXT})
_CHANGE = {"host": STRING, "service": STRING, "binary": STRING, "disabled": BOOLEAN, "status": STRING}


@route("GET", "/os-services", policy=Rule("volume_extension:services:index", ADMIN), response=closed(services=many(_SHOWN)))
def index(req: Request) -> Body:
    """List services, or those of one `binary` or `host`; a worker's name finds all of its backends. 200."""
    host, binary = req.query.get("host"), req.query.get("binary") or req.query.get("service")
    listed = [daemon for daemon in daemons.find(req) if binary in (None, "", daemon.binary)
              and host in (None, "", daemon.host, daemon.host.partition("@")[0])]
    return {"services": [{**view(FIELDS, daemon, req), **(view(BACKEND_FIELDS, daemon, req) if daemon.is_backend else {})}
                         for daemon in listed]}


@route("PUT", "/os-services/enable", policy=_UPDATE, body={"3.0": SET}, response=closed(**_CHANGE, disabled_reason=STRING_OR_NULL))
def enable(req: Request, body: Body) -> Body:
    """Let a service have new volumes again. 200 with the change. 400: no binary is named, or that of backups. 404: no such service."""
    return {**_set(req, body, is_disabled=False, reason=None), "disabled_reason": None}


@route("PUT", "/os-services/disable", policy=_UPDATE, body={"3.0": SET}, response=closed(**_CHANGE))
def disable(req: Request, body: Body) -> Body:
    """Let a service have no new volumes. 200 with the change. 400: no binary is named, or that of backups. 404: no such service."""
    return _set(req, body, is_disabled=True, reason=None)


@route("PUT", "/os-services/disable-log-reason", policy=_UPDATE, body={"3.0": SET_WITH_REASON},
       response=closed(**_CHANGE, disabled_reason=STRING))
def disable_with_reason(req: Request, body: Body) -> Body:
    """Let a service have no new volumes, and say why.

    200 with the change. 400: the reason or the binary is missing, or it is that of backups. 404: no such service.
    """
    reason = body["disabled_reason"].strip()
    return {**_set(req, body, is_disabled=True, reason=reason), "disabled_reason": reason}


def _set(req: Request, body: Body, *, is_disabled: bool, reason: str | None) -> Body:
    binary = body.get("binary") or body.get("service")
    if not binary:
        raise errors.InvalidField(field="binary", reason="it is required: the service's, such as cinder-volume")
    daemon = daemons.get(req, host=body["host"], binary=binary)
    if binary == daemons.BACKUP:
        raise errors.BadRequest(reason="Backups are made by the worker of their volume: there is no service of their own to enable or disable")
    if "@" in daemon.host:
        backends.set_disabled(req.db, daemon.host, is_disabled=is_disabled, reason=reason)
    else:
        hosts.set_disabled(req.db, daemon.service, disabled=is_disabled, reason=reason)
    return {"host": daemon.host, "service": binary, "binary": binary, "disabled": is_disabled, "status": "disabled" if is_disabled else "enabled"}


@route("PUT", "/os-services/freeze", policy=Rule("volume:freeze_host", ADMIN), body={"3.0": FREEZE, "3.26": FREEZE_CLUSTER})
def freeze(req: Request, body: Body) -> None:
    """Let a backend have no new volumes until it is thawed; those that it has are served. 200 with no body. 400: no such backend."""
    backends.set_frozen(req.db, _backend(req, body).host, is_frozen=True)


@route("PUT", "/os-services/thaw", policy=Rule("volume:thaw_host", ADMIN), body={"3.0": FREEZE, "3.26": FREEZE_CLUSTER})
def thaw(req: Request, body: Body) -> None:
    """Let a frozen backend have new volumes again. 200 with no body. 400: no such backend."""
    backends.set_frozen(req.db, _backend(req, body).host, is_frozen=False)


def _backend(req: Request, body: Body) -> Daemon:
    host = body.get("host")
    if not host:
        raise errors.BadRequest(reason="A host is to be named: worker@backend; there are no clusters")
    try:
        return daemons.get(req, host=host, binary=daemons.VOLUME)
    except errors.NotFound as error:
        raise errors.BadRequest(reason=error.text) from None


@route("PUT", "/os-services/failover_host", policy=Rule("volume:failover_host", ADMIN), status=202, body={"3.0": FAIL_OVER})
def fail_over_host(req: Request, body: Body) -> None:
    """Fail over to a replica. 400 always: backends have no replication. (202 in Cinder.)"""
    raise errors.BadRequest(reason="The backend has no replication: there is nothing to fail over to")


@route("PUT", "/os-services/failover", policy=Rule("volume:failover_host", ADMIN), status=202, since="3.26", body={"3.26": FAIL_OVER})
def fail_over(req: Request, body: Body) -> None:
    """Fail over to a replica, of a cluster too. 400 always: backends have no replication. (202 in Cinder.)"""
    fail_over_host(req, body)
