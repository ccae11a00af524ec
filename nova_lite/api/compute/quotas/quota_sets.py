# SPDX-License-Identifier: Apache-2.0
"""Limits of projects and of users in them: shown, set and reset."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.quotas import quota_names
from nova_lite.api.compute.quotas.quota_names import ALL_NAMES, FILE_NAMES, NAMES, NETWORK_NAMES
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, READER, Rule
from nova_lite.db.quotas import quotas

SHOW = Rule("os_compute_api:os-quota-sets:show", READER)
DETAIL = Rule("os_compute_api:os-quota-sets:detail", READER)
QUERY = schemas.queries({"2.0": ("user_id",)})
_BESIDE = {"force": schemas.BOOLEAN, "tenant_id": {"type": "string"}}

FIELDS = (
    *(Field(name, operator.itemgetter(name)) for name in NAMES),
    *(Field(name, operator.itemgetter(name), until="2.35") for name in NETWORK_NAMES),
    *(Field(name, operator.itemgetter(name), until="2.56") for name in FILE_NAMES),
)
UPDATE = {
    "2.0": quota_names.body("quota_set", ALL_NAMES, **_BESIDE),
    "2.36": quota_names.body("quota_set", (*NAMES, *FILE_NAMES), **_BESIDE),
    "2.57": quota_names.body("quota_set", NAMES, **_BESIDE),
}


@route("GET", "/os-quota-sets/{project_id}", policy=SHOW, query=QUERY)
def show(req: Request, project_id: str) -> Body:
    """A project's limits, or those of one user in it."""
    _refuse_other(req, project_id, SHOW)
    limits = quotas.limits(req.db, req.conf, project_id, user_id=req.query.get("user_id"))
    return {"quota_set": {"id": project_id, **view(FIELDS, limits, req)}}


@route("GET", "/os-quota-sets/{project_id}/detail", policy=DETAIL, query=QUERY)
def detail(req: Request, project_id: str) -> Body:
    """Limits with what is used of them; what belongs to users or servers is 0, as in Nova."""
    _refuse_other(req, project_id, DETAIL)
    user_id = req.query.get("user_id")
    used = quotas.used(req.db, project_id, user_id=user_id)
    seen = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0}
            for name, limit in quotas.limits(req.db, req.conf, project_id, user_id=user_id).items()}
    return {"quota_set": {"id": project_id, **view(FIELDS, seen, req)}}


@route("GET", "/os-quota-sets/{project_id}/defaults", policy=Rule("os_compute_api:os-quota-sets:defaults", ANYONE))
def defaults(req: Request, project_id: str) -> Body:
    """The limits of a project that has none of its own."""
    return {"quota_set": {"id": project_id, **view(FIELDS, quotas.defaults(req.db, req.conf), req)}}


@route("PUT", "/os-quota-sets/{project_id}", policy=Rule("os_compute_api:os-quota-sets:update", ADMIN), body=UPDATE,
       query=QUERY)
def update(req: Request, body: Body, project_id: str) -> Body:
    """Set limits of the project or of a user in it; below what is used only by `force`."""
    user_id = req.query.get("user_id")
    asked = {name: int(value) for name, value in body["quota_set"].items() if name not in _BESIDE}
    if not schemas.is_true(body["quota_set"].get("force")):
        _refuse_below_use(asked, quotas.used(req.db, project_id, user_id=user_id))
    if user_id is not None:
        _refuse_above_project(asked, quotas.limits(req.db, req.conf, project_id))
    quotas.set_limits(req.db, project_id, asked, user_id=user_id)
    return {"quota_set": view(FIELDS, quotas.limits(req.db, req.conf, project_id, user_id=user_id), req)}


@route("DELETE", "/os-quota-sets/{project_id}", policy=Rule("os_compute_api:os-quota-sets:delete", ADMIN), status=202,
       query=QUERY)
def delete(req: Request, project_id: str) -> None:
    """Let the limits of all projects hold for the project again, or the project's for the user."""
    quotas.reset(req.db, project_id, user_id=req.query.get("user_id"))


def _refuse_other(req: Request, project_id: str, rule: Rule) -> None:
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)


def _refuse_below_use(asked: Mapping[str, int], used: Mapping[str, int]) -> None:
    for name, limit in asked.items():
        if 0 <= limit < used.get(name, 0):
            raise errors.BadRequest(reason=f"Quota limit {limit} for {name} must be greater than or equal to already "
                                           f"used {used[name]}.")


def _refuse_above_project(asked: Mapping[str, int], limits: Mapping[str, int]) -> None:
    for name, limit in asked.items():
        if limits[name] >= 0 and not 0 <= limit <= limits[name]:
            raise errors.BadRequest(reason=f"Quota limit {limit} for {name} must be less than or equal to the project's "
                                           f"{limits[name]}.")
