# SPDX-License-Identifier: Apache-2.0
"""os-migrations: the resizes of all servers and their states; live migrations of a server, of which there are none."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.listing import read_time
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    EMPTY_LIST,
    INTEGER,
    STRING,
    STRING_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    closed,
    page,
    view,
)
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
    Field("id", lambda migration: migration.number, INTEGER),
    Field("uuid", lambda migration: migration.id, UUID, since="2.59"),
    Field("source_node", lambda migration: migration.source_host, STRING_OR_NULL, role=HOSTS.role),
    Field("source_compute", lambda migration: migration.source_host, STRING_OR_NULL, role=HOSTS.role),
    Field("dest_node", lambda migration: migration.dest_host, STRING_OR_NULL, role=HOSTS.role),
    Field("dest_compute", lambda migration: migration.dest_host, STRING_OR_NULL, role=HOSTS.role),
    Field("dest_host", lambda migration: migration.dest_address, STRING_OR_NULL, role=HOSTS.role),
    Field("status", lambda migration: migration.status, STRING),
    Field("instance_uuid", lambda migration: migration.server_id, UUID),
    Field("old_instance_type_id", lambda migration: migration.old_flavor.number, INTEGER),
    Field("new_instance_type_id", lambda migration: migration.new_flavor.number, INTEGER),
    Field("migration_type", lambda migration: migration.type, STRING, since="2.23"),
    Field("created_at", lambda move: micros(move.created_at), TIME),
    Field("updated_at", lambda move: micros(move.updated_at), TIME_OR_NULL),
    Field("user_id", lambda migration: migration.user_id, STRING, since="2.80"),
    Field("project_id", lambda migration: migration.project_id, STRING, since="2.80"),
)


@route("GET", "/os-migrations", policy=INDEX, until="2.58", query=QUERY, response=page("migrations", FIELDS))
def index(req: Request) -> Body:
    """List the migrations that match, newest first.

    200 with them. 403: another project's, and the policy does not allow it.
    """
    rows = server_migrations.find(req.db, equal=_equal(req, _COLUMNS), host=req.query.get("host"), limit=req.conf.api.max_limit)
    return {"migrations": _views(req, rows)}


@route("GET", "/os-migrations", policy=INDEX, since="2.59", query=QUERY, response=page("migrations", FIELDS))
def index_paged(req: Request) -> Body:
    """List a page of the migrations that match, newest first; the marker is a UUID.

    200 with a page of them and a link to the next. 400: limit, marker or a time is invalid. 403: another project's, and the
    policy does not allow it.
    """
    limit = paging.limit(req)
    since, before = (read_time(name, req.query[name]) if name in req.query else None
                     for name in ("changes-since", "changes-before"))
    if since and before and since > before:
        raise errors.BadRequest(reason="The value of changes-since must be less than or equal to changes-before.")
    rows = server_migrations.find(req.db, equal=_equal(req, _COLUMNS | _OWNERS), host=req.query.get("host"), changed=(since, before),
                                  marker=req.query.get("marker"), limit=limit + 1)
    body: Body = {"migrations": _views(req, rows[:limit])}
    if len(rows) > limit > 0:
        body["migrations_links"] = [paging.next_link(req, path="/os-migrations", marker=rows[limit - 1].id)]
    return body


def _equal(req: Request, columns: dict[str, str]) -> dict[str, str]:
    """Columns and the values to filter them by; callers who may not see all projects see their own.

    :raises errors.PolicyForbids: the query names another project, and the caller may not see it.
    """
    equal = {column: req.query[name] for name, column in columns.items() if name in req.query}
    if not req.policy.allows(ALL_PROJECTS, req.ctxt):
        if equal.get("project_id", req.ctxt.project_id) != req.ctxt.project_id:
            raise errors.PolicyForbids(rule=ALL_PROJECTS.name)
        equal["project_id"] = req.ctxt.project_id
    return equal


def _views(req: Request, rows: list[server_migrations.ServerMigration]) -> list[Body]:
    """The migrations as shown; none is ever hidden, since only clouds with cells hide any."""
    if schemas.is_true(req.query.get("hidden")):
        return []
    return [view(FIELDS, migration, req) for migration in rows]


@route("GET", "/servers/{server_id}/migrations", since="2.23",
       policy=Rule("os_compute_api:servers:migrations:index", MANAGER), response=closed(migrations=EMPTY_LIST))
def of_server(req: Request, server_id: str) -> Body:
    """List the server's live migrations in progress: none, since this cloud cannot move servers between hosts yet.

    200 with an empty list. 404: no such server in the project.
    """
    begin_action.find(req, server_id)
    return {"migrations": []}


@route("GET", "/servers/{server_id}/migrations/{migration_id}", since="2.23",
       policy=Rule("os_compute_api:servers:migrations:show", ADMIN))
def show(req: Request, server_id: str, migration_id: str) -> NoReturn:
    """Show a live migration in progress, of which there are none.

    404: no such server, or no such live migration.
    """
    begin_action.find(req, server_id)
    raise errors.NotFound(f"In-progress live migration {migration_id} is not found for server {server_id}.")


@route("DELETE", "/servers/{server_id}/migrations/{migration_id}", since="2.24", status=202,
       policy=Rule("os_compute_api:servers:migrations:delete", MANAGER))
def abort(req: Request, server_id: str, migration_id: str) -> NoReturn:
    """Abort a live migration, of which there are none.

    404: no such server in the project. 409: it is locked, or not being migrated.
    """
    _refuse(req, server_id, "abort live migration")


@action("force_complete", path="/servers/{server_id}/migrations/{migration_id}/action", since="2.22",
        policy=Rule("os_compute_api:servers:migrations:force_complete", MANAGER),
        body={"2.22": schemas.empty_action("force_complete")})
def force_complete(req: Request, body: Body, server_id: str, migration_id: str) -> NoReturn:
    """Complete a live migration by force, of which there are none.

    404: no such server in the project. 409: it is locked, or not being migrated.
    """
    _refuse(req, server_id, "force_complete")


def _refuse(req: Request, server_id: str, action_name: str) -> NoReturn:
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    raise errors.WrongState(action=action_name, id=server_id, attribute="task_state", state=server.task_state)
