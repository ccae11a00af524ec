# SPDX-License-Identifier: Apache-2.0
"""Server groups: servers that the scheduler keeps together on a host or apart."""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, STRINGS, UUID, Field, closed, many, page, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.compute import server_groups
from nova_lite.db.compute.server_groups import ANTI_AFFINITY, ServerGroup
from nova_lite.db.quotas import quotas

_RULE = "os_compute_api:os-server-groups"
ALL_PROJECTS = Rule(f"{_RULE}:index:all_projects", ADMIN)
RULES = (ALL_PROJECTS,)
_HARD = [server_groups.ANTI_AFFINITY, server_groups.AFFINITY]
_ALL = [*_HARD, server_groups.SOFT_ANTI_AFFINITY, server_groups.SOFT_AFFINITY]


def _rules(group: ServerGroup) -> Body:
    return {} if group.max_per_host is None else {"max_server_per_host": group.max_per_host}


# Read from a pair: (group, ids of its members).
FIELDS = (
    Field("id", lambda pair: pair[0].id, STRING),
    Field("name", lambda pair: pair[0].name, STRING),
    Field("policies", lambda pair: [pair[0].policy], many(STRING), until="2.63"),
    Field("policy", lambda pair: pair[0].policy, STRING, since="2.64"),
    Field("rules", lambda pair: _rules(pair[0]), closed({"max_server_per_host": INTEGER}), since="2.64"),
    Field("members", lambda pair: pair[1], many(UUID)),
    Field("metadata", lambda _: {}, STRINGS, until="2.63"),
    Field("project_id", lambda pair: pair[0].project_id, STRING, since="2.13"),
    Field("user_id", lambda pair: pair[0].user_id, STRING, since="2.13"),
)


def _listed(policies: list[str]) -> schemas.Schema:
    """The body before 2.64: a list of one policy."""
    policy_list = {"type": "array", "minItems": 1, "maxItems": 1, "items": {"enum": policies}}
    return schemas.keyed("server_group", schemas.closed(
        {"name": schemas.NAME, "policies": policy_list}, required=("name", "policies")))


CREATE_LISTED = {"2.0": _listed(_HARD), "2.15": _listed(_ALL)}
CREATE = {"2.64": schemas.keyed("server_group", schemas.closed({
    "name": schemas.NAME, "policy": {"enum": _ALL},
    "rules": schemas.closed({"max_server_per_host": schemas.integer(1)})}, required=("name", "policy")))}
QUERY = schemas.queries({"2.0": ("all_projects", "limit", "offset")})


def _show(req: Request, group: ServerGroup) -> Body:
    members = server_groups.members(req.db, [group.id]).get(group.id, [])
    return {"server_group": view(FIELDS, (group, members), req)}


@route("GET", "/os-server-groups", policy=Rule(f"{_RULE}:index", READER), query=QUERY, response=page("server_groups", FIELDS))
def index(req: Request) -> Body:
    """List the project's server groups, with `all_projects` those of all projects.

    200 with a page of them. 400: `limit` or `offset` is no number. 403: `all_projects`, and the policy does not allow it.
    """
    project_id: str | None = req.ctxt.project_id
    if "all_projects" in req.query:
        require(req, ALL_PROJECTS)
        project_id = None
    groups = server_groups.find(req.db, project_id=project_id, limit=paging.limit(req), offset=paging.offset(req))
    members = server_groups.members(req.db, [group.id for group in groups])
    return {"server_groups": [view(FIELDS, (group, members.get(group.id, [])), req) for group in groups]}


@route("GET", "/os-server-groups/{server_group_id}", policy=Rule(f"{_RULE}:show", READER),
       response=closed(server_group=FIELDS))
def show(req: Request, server_group_id: str) -> Body:
    """Show one server group with its members.

    200 with the group. 404: no such group in the project.
    """
    return _show(req, server_groups.get(req.db, server_group_id, project_id=req.ctxt.visible_project))


@route("POST", "/os-server-groups", policy=Rule(f"{_RULE}:create", MEMBER), until="2.63", body=CREATE_LISTED,
       response=closed(server_group=FIELDS))
def create_listed(req: Request, body: Body) -> Body:
    """Create a server group with the one policy in the list.

    200 with the group. 400: the policy is unknown. 403: over quota.
    """
    params = body["server_group"]
    return _create(req, params["name"], params["policies"][0], {})


@route("POST", "/os-server-groups", policy=Rule(f"{_RULE}:create", MEMBER), since="2.64", body=CREATE,
       response=closed(server_group=FIELDS))
def create(req: Request, body: Body) -> Body:
    """Create a server group; with anti-affinity, `max_server_per_host` limits how many members share a host.

    200 with the group. 400: the policy is unknown or takes no rules. 403: over quota.
    """
    params = body["server_group"]
    if params.get("rules") and params["policy"] != ANTI_AFFINITY:
        raise errors.BadRequest(reason="Only anti-affinity policy supports rules.")
    return _create(req, params["name"], params["policy"], params.get("rules", {}))


def _create(req: Request, name: str, policy: str, rules: dict[str, Any]) -> Body:
    limit = quotas.limits(req.db, req.conf, req.ctxt.project_id)["server_groups"]
    maximum = rules.get("max_server_per_host")
    if maximum is not None and int(maximum) < 1:
        raise errors.InvalidField(field="max_server_per_host", reason="It is less than the minimum of 1")
    return _show(req, server_groups.add(req.db, limit=limit, group=ServerGroup(
        id=new_id(), project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name=name, policy=policy,
        max_per_host=None if maximum is None else int(maximum))))


@route("DELETE", "/os-server-groups/{server_group_id}", policy=Rule(f"{_RULE}:delete", MEMBER), status=204)
def delete(req: Request, server_group_id: str) -> None:
    """Delete a server group; its members stay where they are.

    204 with no body. 404: no such group in the project.
    """
    server_groups.remove(req.db, server_groups.get(
        req.db, server_group_id, project_id=req.ctxt.visible_project, is_locked=True))
