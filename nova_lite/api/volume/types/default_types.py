# SPDX-License-Identifier: Apache-2.0
"""Default volume types of projects: those of volumes that are made without one."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, UUID, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import volume_types
from nova_lite.db.volume.volume_types import DefaultVolumeType

FIELDS = (
    Field("project_id", lambda found: found.project_id, STRING),
    Field("volume_type_id", lambda found: found.volume_type_id, UUID),
)
UPDATE = schemas.keyed("default_type", schemas.closed({"volume_type": schemas.NAME}, required=("volume_type",)))
_MAX_PROJECT_ID = 64


@route("GET", "/default-types", policy=Rule("volume_extension:default_get_all", ADMIN), since="3.62",
       response=closed(default_types=many(FIELDS)))
def index(req: Request) -> Body:
    """List the default types of the projects that have one of their own. 200."""
    return {"default_types": [view(FIELDS, found, req) for found in volume_types.defaults(req.db)]}


@route("GET", "/default-types/{project_id}", policy=Rule("volume_extension:default_get", ADMIN), since="3.62",
       response=closed(default_type=FIELDS))
def show(req: Request, project_id: str) -> Body:
    """Show a project's default type. 200. 404: it has none of its own."""
    found = req.db.get(DefaultVolumeType, project_id)
    if found is None:
        raise errors.NotFound(f"Default type for project {project_id} not found.")
    return {"default_type": view(FIELDS, found, req)}


@route("PUT", "/default-types/{project_id}", policy=Rule("volume_extension:default_set_or_update", ADMIN), since="3.62", body={"3.62": UPDATE},
       response=closed(default_type=FIELDS))
def update(req: Request, body: Body, project_id: str) -> Body:
    """Give a project a default type, by its id or name.

    200 with the default. 400: the project may not use the type, or the id is too long for one. 404: no such type.
    """
    if len(project_id) > _MAX_PROJECT_ID:
        raise errors.BadRequest(reason=f"A project's id has {_MAX_PROJECT_ID} characters at most")
    found = volume_types.get(req.db, body["default_type"]["volume_type"], is_locked=True)
    if not found.is_public and project_id not in volume_types.projects_of(req.db, found.id):
        raise errors.BadRequest(reason=f"Volume type {found.name} is private, and project {project_id} has no access to it")
    return {"default_type": view(FIELDS, volume_types.set_default(req.db, project_id, found.id), req)}


@route("DELETE", "/default-types/{project_id}", policy=Rule("volume_extension:default_unset", ADMIN), since="3.62", status=204)
def delete(req: Request, project_id: str) -> None:
    """Take a project's default type away: the configured one holds. 204."""
    volume_types.unset_default(req.db, project_id)
