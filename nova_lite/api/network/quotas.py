# SPDX-License-Identifier: Apache-2.0
"""/quotas: limits of projects on what the network service has; the compute API shows and sets the same ones."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.network import authorization, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.api.wsgi.validation import MAX_INTEGER
from nova_lite.db.network import floating_ips, networks, ports, routers, security_groups
from nova_lite.db.quotas import quotas

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
_ABSENT: dict[str, object] = {"subnetpool": 0, "rbac_policy": 0}
_INTEGERS = each(" ".join((*_QUOTAS, *_ABSENT)), INTEGER)
_LIMITS = closed(quota=closed(**_INTEGERS))
_DETAILS = closed(quota=closed(**each(" ".join((*_QUOTAS, *_ABSENT)), closed(limit=INTEGER, used=INTEGER, reserved=INTEGER))))
UPDATE = schemas.body("quota", {
    **dict.fromkeys((*_QUOTAS, *_ABSENT), schemas.NUMBER), "check_limit": schemas.maybe(schemas.BOOL), "force": schemas.maybe(schemas.BOOL)})


@route("GET", "/quotas", policy=Rule("get_quotas", ADMIN), response=closed(quotas=many(closed(**each("project_id tenant_id", STRING), **_INTEGERS))))
def index(req: Request) -> Body:
    """List the limits of the projects that have some of their own. 200."""
    defaults = quotas.defaults(req.db, req.conf)
    return {"quotas": [{"project_id": project_id, "tenant_id": project_id, **_view({**defaults, **own})}
                       for project_id, own in quotas.of_projects(req.db, list(_QUOTAS.values())).items()]}


@route("GET", "/quotas/{project_id}", policy=Rule("get_quota", READER), response=_LIMITS)
def show(req: Request, project_id: str) -> Body:
    """Show the project's limits. 200. 404: another project's, and the caller is no admin."""
    return {"quota": _limits(req, _own(req, project_id))}


@route("PUT", "/quotas/{project_id}", policy=Rule("update_quota", ADMIN), body={"2.0": UPDATE}, response=_LIMITS)
def update(req: Request, project_id: str, body: Body) -> Body:
    """Set limits of the project; -1: none. With `check_limit`, which stock clients send, none below what it uses.

    200 with all limits. 400: an unknown one, one of what does not exist here, or one below what is used.
    """
    params = body["quota"]
    limits = {name: int(params[name]) if params[name] in (-1, "-1") else schemas.number(params, name, minimum=0, maximum=MAX_INTEGER) or 0
              for name in (*_QUOTAS, *_ABSENT) if name in params}
    authorization.refuse_unsupported(limits, _ABSENT)
    used = _used(req, project_id) if params.get("check_limit") else {}
    for name, limit in limits.items():
        if 0 <= limit < used.get(name, 0):
            raise errors.BadRequest(
                reason=f"Quota limit {limit} for {name} must be greater than or equal to already used {used[name]}.")
    quotas.set_limits(req.db, project_id, {_QUOTAS[name]: limit for name, limit in limits.items() if name in _QUOTAS})
    return {"quota": _limits(req, project_id)}


@route("DELETE", "/quotas/{project_id}", policy=Rule("delete_quota", ADMIN), status=204)
def delete(req: Request, project_id: str) -> None:
    """Give the project the default limits again, those of the compute API excepted. 204, also if it has none of its own."""
    quotas.reset(req.db, project_id, resources=list(_QUOTAS.values()))


@route("GET", "/quotas/{project_id}/default", policy=Rule("get_quota", READER), response=_LIMITS)
def show_default(req: Request, project_id: str) -> Body:
    """Show the limits of a project that has none of its own. 200. 404: as for its limits."""
    _own(req, project_id)
    return {"quota": _view(quotas.defaults(req.db, req.conf))}


@route("GET", "/quotas/{project_id}/details", policy=Rule("get_quota", READER), response=_DETAILS)
@route("GET", "/quotas/{project_id}/details.json", policy=Rule("get_quota", READER), response=_DETAILS)
def show_details(req: Request, project_id: str) -> Body:
    """Show the project's limits and usage. 200. 404: as for its limits."""
    limits = _limits(req, _own(req, project_id))
    used = _used(req, project_id)
    return {"quota": {name: {"limit": limit, "used": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}}


def _own(req: Request, project_id: str) -> str:
    if not req.ctxt.is_admin and project_id != req.ctxt.project_id:
        raise errors.NotFound(what="Quota of project", id=project_id)
    return project_id


def _used(req: Request, project_id: str) -> dict[str, int]:
    return {
        "network": networks.count(req.db, project_id),
        "subnet": networks.count_subnets(req.db, project_id),
        "port": ports.count(req.db, project_id),
        "security_group": security_groups.count(req.db, project_id),
        "security_group_rule": security_groups.count_rules(req.db, project_id),
        "floatingip": floating_ips.count(req.db, project_id),
        "router": routers.count(req.db, project_id),
    }


def _limits(req: Request, project_id: str) -> Body:
    return _view(quotas.limits(req.db, req.conf, project_id))


def _view(limits: Mapping[str, int]) -> Body:
    return {**{name: limits[ours] for name, ours in _QUOTAS.items()}, **_ABSENT}
