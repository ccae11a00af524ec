# SPDX-License-Identifier: Apache-2.0
"""/security-groups: named sets of accept rules."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.network.security_group_rules import FIELDS as RULE_FIELDS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import MEMBER, READER, Field, Rule, route, view
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import DEFAULT, SecurityGroup

FIELDS = (
    Field("id", lambda g: g.id),
    Field("name", lambda g: g.name),
    Field("description", lambda g: g.description),
    Field("tenant_id", lambda g: g.project_id),
    Field("project_id", lambda g: g.project_id),
    Field("stateful", lambda _: True),
    Field("shared", lambda _: False),
    Field("tags", lambda _: []),
    Field("created_at", lambda g: schemas.moment(g.created_at)),
    Field("updated_at", lambda g: schemas.moment(g.updated_at or g.created_at)),
)
_CONSTANTS = {"stateful": "true", "shared": "false"}
_CHANGEABLE: schemas.Schema = {"name": schemas.TEXT, "description": schemas.TEXT, "stateful": schemas.BOOL}
CREATE = schemas.body("security_group", {**_CHANGEABLE, **schemas.OWNER}, required=("name",))
UPDATE = schemas.body("security_group", _CHANGEABLE)


@route("GET", "/security-groups", policy=Rule("get_security_groups", READER))
def index(req: Request) -> Body:
    """The project's groups, its default one always among them."""
    have_default(req)
    asked = listing.read(req, security_groups.GROUP_COLUMNS, constants=_CONSTANTS)
    rows = (
        []
        if asked.is_empty
        else security_groups.find(
            req.db, project_id=req.ctxt.visible_project, filters=asked.filters, page=asked.page
        )
    )
    return listing.write(req, "security_groups", rows, asked, lambda row: _view(req, row))


def have_default(req: Request) -> None:
    """Make the caller's default group when it is missing; `req.db` only reads, and starts afresh afterwards."""
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


@route("GET", "/security-groups/{group_id}", policy=Rule("get_security_group", READER))
def show(req: Request, group_id: str) -> Body:
    """One group with its rules."""
    group = security_groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    return {"security_group": listing.only_fields(req, _view(req, group))}


@route(
    "POST", "/security-groups", policy=Rule("create_security_group", MEMBER), status=201, body={"2.0": CREATE}
)
def create(req: Request, body: Body) -> Body:
    """A new group: everything out, nothing in."""
    asked = body["security_group"]
    project_id = authorization.project_of(req, asked)
    authorization.refuse_unsupported(asked, {"stateful": True})
    if asked["name"] == DEFAULT:
        raise errors.Conflict(reason="Default security group already exists.")
    security_groups.default(req.db, project_id)
    authorization.check_quota(req, project_id, "security_groups", used=security_groups.count(req.db, project_id))
    group = security_groups.create(
        req.db, project_id=project_id, name=asked["name"], description=asked.get("description", "")
    )
    return {"security_group": _view(req, group)}


@route(
    "PUT", "/security-groups/{group_id}", policy=Rule("update_security_group", MEMBER), body={"2.0": UPDATE}
)
def update(req: Request, group_id: str, body: Body) -> Body:
    """Change name and description."""
    asked = body["security_group"]
    group = security_groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unsupported(asked, {"stateful": True})
    if asked.get("name", group.name) != group.name and DEFAULT in (group.name, asked["name"]):
        raise errors.Conflict(
            reason="Updating default security group not allowed: no other may have or lose its name."
        )
    for name in ("name", "description"):
        if name in asked:
            setattr(group, name, asked[name])
    req.db.flush()
    return {"security_group": _view(req, group)}


@route("DELETE", "/security-groups/{group_id}", policy=Rule("delete_security_group", MEMBER), status=204)
def delete(req: Request, group_id: str) -> None:
    """Remove a group that no port is in; rules of other groups that name it go too."""
    group = security_groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    if group.default_of is not None and not req.ctxt.is_admin:
        raise errors.Conflict(reason="Insufficient rights for removing default security group.")
    network_sync.groups(req, security_groups.delete(req.db, group))
