# SPDX-License-Identifier: Apache-2.0
"""Migrations: the resizes that were asked for, and how each stands."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.listing import read_time
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, MANAGER, Rule
from nova_lite.db.compute import server_migrations

INDEX = Rule("os_compute_api:os-migrations:index", MANAGER)
ALL_PROJECTS = Rule("os_compute_api:os-migrations:index:all_projects", ADMIN)
HOSTS = Rule("os_compute_api:os-migrations:index:host", ADMIN)
RULES = (ALL_PROJECTS, HOSTS)
# Query parameters and the columns that they filter.
_COLUMNS = {"instance_uuid": "server_id", "migration_type": "type", "source_compute": "source_host", "status": "status"}
_OWNERS = {"project_id": "project_id", "user_id": "user_id"}
_OLD = ("hidden", "host", "instance_uuid", "migration_type", "source_compute", "status")
QUERY = schemas.queries({"2.0": _OLD, "2.59": ("limit", "marker", "changes-since"), "2.66": ("changes-before",),
                         "2.80": ("project_id", "user_id")}, closed="2.59")
FIELDS = (
    Field("id", lambda move: move.number),
    Field("uuid", lambda move: move.id, since="2.59"),
    Field("source_node", lambda move: move.source_host, role=HOSTS.role),
    Field("source_compute", lambda move: move.source_host, role=HOSTS.role),
    Field("dest_node", lambda move: move.target_host, role=HOSTS.role),
    Field("dest_compute", lambda move: move.target_host, role=HOSTS.role),
    Field("dest_host", lambda move: move.target_address, role=HOSTS.role),
    Field("status", lambda move: move.status),
    Field("instance_uuid", lambda move: move.server_id),
    Field("old_instance_type_id", lambda move: move.old_flavor.get("number", 0)),
    Field("new_instance_type_id", lambda move: move.new_flavor.get("number", 0)),
    Field("migration_type", lambda move: move.type, since="2.23"),
    Field("created_at", lambda move: micros(move.created_at)),
    Field("updated_at", lambda move: micros(move.updated_at)),
    Field("user_id", lambda move: move.user_id, since="2.80"),
    Field("project_id", lambda move: move.project_id, since="2.80"),
)


@route("GET", "/os-migrations", policy=INDEX, until="2.58", query=QUERY)
def index(req: Request) -> Body:
    """All migrations that match, newest first."""
    found = server_migrations.find(req.db, equal=_equal(req, _COLUMNS), host=req.query.get("host"), limit=req.conf.api.max_limit)
    return {"migrations": _shown(req, found)}


@route("GET", "/os-migrations", policy=INDEX, since="2.59", query=QUERY)
def index_paged(req: Request) -> Body:
    """A page of the migrations that match, newest first; the marker is a UUID."""
    limit = paging.limit(req)
    since, before = (read_time(name, req.query[name]) if name in req.query else None
                     for name in ("changes-since", "changes-before"))
    if since and before and since > before:
        raise errors.BadRequest(reason="The value of changes-since must be less than or equal to changes-before.")
    found = server_migrations.find(req.db, equal=_equal(req, _COLUMNS | _OWNERS), host=req.query.get("host"), changed=(since, before),
                       marker=req.query.get("marker"), limit=limit + 1)
    body: Body = {"migrations": _shown(req, found[:limit])}
    if len(found) > limit > 0:
        body["migrations_links"] = [paging.next_link(req, path="/os-migrations", marker=found[limit - 1].id)]
    return body


def _equal(req: Request, columns: dict[str, str]) -> dict[str, str]:
    """Columns and values that the query asks for; who does not see all projects sees the own one."""
    equal = {column: req.query[name] for name, column in columns.items() if name in req.query}
    if not req.policy.allows(ALL_PROJECTS, req.ctxt):
        if equal.get("project_id", req.ctxt.project_id) != req.ctxt.project_id:
            raise errors.PolicyForbids(rule=ALL_PROJECTS.name)
        equal["project_id"] = req.ctxt.project_id
    return equal


def _shown(req: Request, found: list[server_migrations.ServerMigration]) -> list[Body]:
    """No migration is ever hidden: that is what a cloud without cells has to say."""
    if schemas.is_true(req.query.get("hidden")):
        return []
    return [view(FIELDS, move, req) for move in found]


@route("GET", "/servers/{server_id}/migrations", since="2.23",
       policy=Rule("os_compute_api:servers:migrations:index", MANAGER))
def of_server(req: Request, server_id: str) -> Body:
    """The server's live migrations under way: none, since servers are not moved between hosts yet."""
    begin_action.find(req, server_id)
    return {"migrations": []}


@route("GET", "/servers/{server_id}/migrations/{migration_id}", since="2.23",
       policy=Rule("os_compute_api:servers:migrations:show", ADMIN))
def show(req: Request, server_id: str, migration_id: str) -> Body:
    """:raises errors.NotFound: no live migration is under way."""
    begin_action.find(req, server_id)
    raise errors.NotFound(f"In-progress live migration {migration_id} is not found for server {server_id}.")


@route("DELETE", "/servers/{server_id}/migrations/{migration_id}", since="2.24", status=202,
       policy=Rule("os_compute_api:servers:migrations:delete", MANAGER))
def abort(req: Request, server_id: str, migration_id: str) -> None:
    """:raises errors.WrongState: the server is not being moved."""
    _refuse(req, server_id, "abort live migration")


@action("force_complete", path="/servers/{server_id}/migrations/{migration_id}/action", since="2.22",
        policy=Rule("os_compute_api:servers:migrations:force_complete", MANAGER),
        body={"2.22": schemas.empty_action("force_complete")})
def force_complete(req: Request, body: Body, server_id: str, migration_id: str) -> None:
    """:raises errors.WrongState: the server is not being moved."""
    _refuse(req, server_id, "force_complete")


def _refuse(req: Request, server_id: str, word: str) -> None:
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    raise errors.WrongState(action=word, id=server_id, attribute="task_state", state=server.task_state)
