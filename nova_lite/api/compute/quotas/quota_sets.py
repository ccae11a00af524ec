# SPDX-License-Identifier: Apache-2.0
"""Quotas of projects and of users in them: shown, set and reset."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.quotas import quota_names
from nova_lite.api.compute.quotas.quota_names import ALL_NAMES, FILE_NAMES, NAMES, NETWORK_NAMES
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, Field, Property, Shape, closed, each, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, READER, Rule
from nova_lite.db.quotas import quotas

SHOW = Rule("os_compute_api:os-quota-sets:show", READER)
DETAIL = Rule("os_compute_api:os-quota-sets:detail", READER)
QUERY = schemas.queries({"2.0": ("user_id",)})
_OTHER_PROPERTIES = {"force": schemas.BOOLEAN, "tenant_id": {"type": "string"}}



def _fields(schema: Shape) -> tuple[Field, ...]:
    """A field for each quota, with values of this type."""
    return (
        *(Field(name, operator.itemgetter(name), schema) for name in NAMES),
        *(Field(name, operator.itemgetter(name), schema, until="2.35") for name in NETWORK_NAMES),
        *(Field(name, operator.itemgetter(name), schema, until="2.56") for name in FILE_NAMES),
    )


FIELDS = _fields(INTEGER)
DETAIL_FIELDS = _fields(closed(**each("limit in_use reserved", INTEGER)))
_ID = Property("id", STRING)
UPDATE = {
    "2.0": quota_names.update_schema("quota_set", ALL_NAMES, **_OTHER_PROPERTIES),
    "2.36": quota_names.update_schema("quota_set", (*NAMES, *FILE_NAMES), **_OTHER_PROPERTIES),
    "2.57": quota_names.update_schema("quota_set", NAMES, **_OTHER_PROPERTIES),
}


@route("GET", "/os-quota-sets/{project_id}", policy=SHOW, query=QUERY, response=closed(quota_set=(_ID, *FIELDS)))
def show(req: Request, project_id: str) -> Body:
    """Show a project's limits, or those of one user in it. 200. 403: another project's, to a caller who is no admin."""
    _refuse_other(req, project_id, SHOW)
    limits = quotas.limits(req.db, req.conf, project_id, user_id=req.query.get("user_id"))
    return {"quota_set": {"id": project_id, **view(FIELDS, limits, req)}}


@route("GET", "/os-quota-sets/{project_id}/detail", policy=DETAIL, query=QUERY,
       response=closed(quota_set=(_ID, *DETAIL_FIELDS)))
def detail(req: Request, project_id: str) -> Body:
    """Show limits and usage; the usage of quotas per user or per server is 0, as in Nova.

    200. 403: another project's, to a caller who is no admin.
    """
    _refuse_other(req, project_id, DETAIL)
    user_id = req.query.get("user_id")
    used = quotas.used(req.db, project_id, user_id=user_id)
    usages = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0}
              for name, limit in quotas.limits(req.db, req.conf, project_id, user_id=user_id).items()}
    return {"quota_set": {"id": project_id, **view(DETAIL_FIELDS, usages, req)}}


@route("GET", "/os-quota-sets/{project_id}/defaults", policy=Rule("os_compute_api:os-quota-sets:defaults", ANYONE),
       response=closed(quota_set=(_ID, *FIELDS)))
def defaults(req: Request, project_id: str) -> Body:
    """Show the limits of a project that has no quotas of its own. 200."""
    return {"quota_set": {"id": project_id, **view(FIELDS, quotas.defaults(req.db, req.conf), req)}}


@route("PUT", "/os-quota-sets/{project_id}", policy=Rule("os_compute_api:os-quota-sets:update", ADMIN), body=UPDATE,
       query=QUERY, response=closed(quota_set=FIELDS))
def update(req: Request, body: Body, project_id: str) -> Body:
    """Set limits of the project or of a user in it.

    200 with all limits. 400: a limit is below the usage (unless `force`), or a user's is above the project's.
    """
    user_id = req.query.get("user_id")
    limits = {name: int(value) for name, value in body["quota_set"].items() if name not in _OTHER_PROPERTIES}
    if not schemas.is_true(body["quota_set"].get("force")):
        _refuse_below_usage(limits, quotas.used(req.db, project_id, user_id=user_id))
    if user_id is not None:
        _refuse_above_project(limits, quotas.limits(req.db, req.conf, project_id))
    quotas.set_limits(req.db, project_id, limits, user_id=user_id)
    return {"quota_set": view(FIELDS, quotas.limits(req.db, req.conf, project_id, user_id=user_id), req)}


@route("DELETE", "/os-quota-sets/{project_id}", policy=Rule("os_compute_api:os-quota-sets:delete", ADMIN), status=202,
       query=QUERY)
def delete(req: Request, project_id: str) -> None:
    """Reset the project's limits to the defaults, or the user's to the project's. 202 with no body."""
    quotas.reset(req.db, project_id, user_id=req.query.get("user_id"))


def _refuse_other(req: Request, project_id: str, rule: Rule) -> None:
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)


def _refuse_below_usage(limits: Mapping[str, int], used: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        if 0 <= limit < used.get(name, 0):
            raise errors.BadRequest(reason=f"Quota limit {limit} for {name} must be greater than or equal to already "
                                           f"used {used[name]}.")


def _refuse_above_project(user_limits: Mapping[str, int], limits: Mapping[str, int]) -> None:
    for name, limit in user_limits.items():
        if limits[name] >= 0 and not 0 <= limit <= limits[name]:
            raise errors.BadRequest(reason=f"Quota limit {limit} for {name} must be less than or equal to the project's "
                                           f"{limits[name]}.")
