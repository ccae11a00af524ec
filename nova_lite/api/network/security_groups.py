# SPDX-License-Identifier: Apache-2.0
"""/security-groups: named sets of rules that allow traffic."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.network.security_group_rules import FIELDS as RULE_FIELDS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, STRING, TIME, UUID, Field, Property, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import DEFAULT, SecurityGroup

FIELDS = (
    Field("id", lambda g: g.id, UUID),
    Field("name", lambda g: g.name, STRING),
    Field("description", lambda g: g.description, STRING),
    Field("tenant_id", lambda g: g.project_id, STRING),
    Field("project_id", lambda g: g.project_id, STRING),
    Field("stateful", lambda _: True, BOOLEAN),
    Field("shared", lambda _: False, BOOLEAN),
    Field("tags", lambda g: g.tags or [], many(STRING)),
    Field("created_at", lambda g: schemas.moment(g.created_at), TIME),
    Field("updated_at", lambda g: schemas.moment(g.updated_at or g.created_at), TIME),
)
_GROUP = (*FIELDS, Property("security_group_rules", many(RULE_FIELDS)))
_CONSTANTS = {"stateful": "true", "shared": "false"}
_CHANGEABLE: schemas.Schema = {"name": schemas.TEXT, "description": schemas.TEXT, "stateful": schemas.BOOL}
CREATE = schemas.new_body("security_group", {**_CHANGEABLE, **schemas.OWNER}, required=("name",))
UPDATE = schemas.body("security_group", _CHANGEABLE)


@route(
    "GET", "/security-groups", policy=Rule("get_security_groups", READER), response=schemas.listed("security_groups", _GROUP)
)
def index(req: Request) -> Body:
    """List the project's groups; its default group is created if it is missing.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    ensure_default(req)
    query = listing.read(req, security_groups.GROUP_COLUMNS, constants=_CONSTANTS)
    rows = (
        []
        if query.is_empty
        else security_groups.find(
            req.db, project_id=req.ctxt.visible_project, filters=query.filters, page=query.page
        )
    )
    return listing.write(req, "security_groups", rows, query, lambda row: _view(req, row))


def ensure_default(req: Request) -> None:
    """Create the project's default group if it is missing, in a transaction of its own: `req.db` only reads."""
    project_id = req.query.get("project_id") or req.query.get("tenant_id") or req.ctxt.project_id
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        return
    if project_id and not security_groups.has_default(req.db, project_id):
        with req.database.writer() as session:
            security_groups.default(session, project_id)
        req.db.rollback()


def _view(req: Request, group: SecurityGroup) -> Body:
    rules = sorted(group.rules, key=lambda rule: (rule.created_at, rule.id))
    return {
        **view(FIELDS, group, req),
        "security_group_rules": [view(RULE_FIELDS, rule, req) for rule in rules],
    }


@route(
    "GET", "/security-groups/{group_id}", policy=Rule("get_security_group", READER),
    response=schemas.shown("security_group", _GROUP),
)
def show(req: Request, group_id: str) -> Body:
    """Show one group with its rules. 200. 404: no such group in the project."""
    group = security_groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    return {"security_group": listing.only_fields(req, _view(req, group))}


@route(
    "POST", "/security-groups", policy=Rule("create_security_group", MEMBER), status=201, body={"2.0": CREATE},
    response=schemas.made("security_group", _GROUP),
)
def create(req: Request, body: Body) -> Body:
    """Create a group that allows all egress and no ingress, or `security_groups`, all or none.

    201. 400: an attribute that is not supported. 403: another project's by a caller who is no admin. 409: the quota is
    exceeded, or the name is `default`.
    """
    return schemas.create(body, "security_group", functools.partial(_create, req), lock=functools.partial(_lock, req))


def _lock(req: Request, items: Sequence[Body]) -> None:
    security_groups.make_defaults(req.db, (authorization.project_of(req, params) for params in items))
    authorization.lock_quotas(req, items)


def _create(req: Request, params: Body) -> Body:
    project_id = authorization.project_of(req, params)
    authorization.refuse_unsupported(params, {"stateful": True})
    if params["name"] == DEFAULT:
        raise errors.Conflict(reason="Default security group already exists.")
    security_groups.default(req.db, project_id)
    authorization.check_quota(req, project_id, "security_groups", used=security_groups.count)
    group = security_groups.create(
        req.db, project_id=project_id, name=params["name"], description=params.get("description", "")
    )
    return _view(req, group)


@route(
    "PUT", "/security-groups/{group_id}", policy=Rule("update_security_group", MEMBER), body={"2.0": UPDATE},
    response=closed(security_group=_GROUP),
)
def update(req: Request, group_id: str, body: Body) -> Body:
    """Change a group's name or description.

    200. 400: an attribute that is not supported. 404: no such group. 409: the default group's name, or `default` for another.
    """
    params = body["security_group"]
    group = security_groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unsupported(params, {"stateful": True})
    if params.get("name", group.name) != group.name and DEFAULT in (group.name, params["name"]):
        raise errors.Conflict(
            reason="Updating default security group not allowed: its name is reserved."
        )
    for name in ("name", "description"):
        if name in params:
            setattr(group, name, params[name])
    req.db.flush()
    return {"security_group": _view(req, group)}


@route("DELETE", "/security-groups/{group_id}", policy=Rule("delete_security_group", MEMBER), status=204)
def delete(req: Request, group_id: str) -> None:
    """Delete a group without ports, and the rules of other groups that refer to it.

    204. 404: no such group. 409: ports use it, or it is the default group and the caller is no admin.
    """
    group = security_groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    if group.default_of is not None and not req.ctxt.is_admin:
        raise errors.Conflict(reason="Insufficient rights for removing default security group.")
    security_groups.delete(req.db, group)
    network_sync.push(req)
