# SPDX-License-Identifier: Apache-2.0
"""Quotas of projects: shown with what is used of them, set and reset."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.volume.common import paging
from nova_lite.api.volume.quotas import quota_names
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, closed, each
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.volume import quota

SHOW = Rule("volume_extension:quotas:show", READER)
UPDATE = {"3.0": quota_names.update_schema("quota_set")}
_PATH = "/os-quota-sets/{project_id}"
_USAGE = closed(**each("limit in_use reserved", INTEGER))
_MAX_PROJECT_ID = 64


@route("GET", _PATH, policy=SHOW, response=closed(quota_set=quota_names.shape({"anyOf": [INTEGER, _USAGE]}, id=STRING)))
def show(req: Request, project_id: str) -> Body:
    """Show a project's limits; with `usage=true` each with what is used of it.

    200. 400: `usage` is no boolean. 403: another project's, to a caller who is no admin.
    """
    _refuse_other(req, project_id)
    limits = quota.limits(req.db, req.conf, project_id)
    if not paging.boolean(req, "usage"):
        return {"quota_set": {"id": project_id, **limits}}
    used = quota.usage(req.db, req.conf, project_id)
    usages = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}
    return {"quota_set": {"id": project_id, **usages}}


@route("GET", _PATH + "/defaults", policy=SHOW, response=closed(quota_set=quota_names.shape(INTEGER, id=STRING)))
def defaults(req: Request, project_id: str) -> Body:
    """Show the limits of a project that has none of its own. 200. 403: another project, to a caller who is no admin."""
    _refuse_other(req, project_id)
    return {"quota_set": {"id": project_id, **quota.defaults(req.db, req.conf)}}


@route("PUT", _PATH, policy=Rule("volume_extension:quotas:update", ADMIN), body=UPDATE, response=closed(quota_set=quota_names.LIMITS))
def update(req: Request, body: Body, project_id: str) -> Body:
    """Set limits of the project.

    200 with all limits. 400: no such quota, or with `skip_validation=false` a limit below what is used.
    """
    if len(project_id) > _MAX_PROJECT_ID:
        raise errors.BadRequest(reason=f"A project's id has {_MAX_PROJECT_ID} characters at most")
    limits = quota.limits(req.db, req.conf, project_id)
    changed = quota_names.read_limits(body["quota_set"], limits)
    if not paging.boolean(req, "skip_validation", otherwise=True):
        _refuse_below_usage(changed, quota.usage(req.db, req.conf, project_id))
    quota.set_limits(req.db, project_id, changed)
    return {"quota_set": {**limits, **changed}}


@route("DELETE", _PATH, policy=Rule("volume_extension:quotas:delete", ADMIN))
def delete(req: Request, project_id: str) -> None:
    """Reset the project's limits to the defaults. 200 with no body."""
    quota.reset(req.db, project_id)


def _refuse_other(req: Request, project_id: str) -> None:
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=SHOW.name)


def _refuse_below_usage(limits: Mapping[str, int], used: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        if name != quota.PER_VOLUME and 0 <= limit < used.get(name, 0):
            raise errors.BadRequest(reason=f"Quota limit {limit} for {name} must be equal to or greater than in-use resources: {used[name]}.")
