# SPDX-License-Identifier: Apache-2.0
"""The projects with access to volume types that are not public."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, UUID, closed, many
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import volume_types
from nova_lite.db.volume.volume_types import VolumeType

_ACTION = "/types/{type_id}/action"
_PROJECT = schemas.closed({"project": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": rf"^[a-zA-Z0-9-]+{schemas.END}"}}, required=("project",))


@route("GET", "/types/{type_id}/os-volume-type-access", policy=Rule("volume_extension:volume_type_access:get_all_for_type", ADMIN),
       response=closed(volume_type_access=many(closed(volume_type_id=UUID, project_id=STRING))))
def index(req: Request, type_id: str) -> Body:
    """List the projects with access to a type. 200. 404: no such type, or it is public."""
    if volume_types.get_by_id(req.db, type_id).is_public:
        raise errors.NotFound("Access list not available for public volume types.")
    return {"volume_type_access": [{"volume_type_id": type_id, "project_id": project_id}
                                   for project_id in volume_types.projects_of(req.db, type_id)]}


@action("addProjectAccess", path=_ACTION, policy=Rule("volume_extension:volume_type_access:addProjectAccess", ADMIN),
        body={"3.0": schemas.keyed("addProjectAccess", _PROJECT)})
def add(req: Request, body: Body, type_id: str) -> None:
    """Give a project access to the type.

    202 with no body. 400: it is public. 404: no such type. 409: the project has access already.
    """
    _private(req, type_id)
    project_id = body["addProjectAccess"]["project"]
    if not volume_types.add_project(req.db, type_id, project_id):
        raise errors.Conflict(reason=f"Volume type access for {type_id} / {project_id} combination already exists.")


@action("removeProjectAccess", path=_ACTION, policy=Rule("volume_extension:volume_type_access:removeProjectAccess", ADMIN),
        body={"3.0": schemas.keyed("removeProjectAccess", _PROJECT)})
def remove(req: Request, body: Body, type_id: str) -> None:
    """Take a project's access to the type away; its volumes stay.

    202 with no body. 400: it is public. 404: no such type, or the project has no access.
    """
    _private(req, type_id)
    project_id = body["removeProjectAccess"]["project"]
    if not volume_types.remove_project(req.db, type_id, project_id):
        raise errors.NotFound(f"Volume type access not found for {type_id} / {project_id} combination.")


def _private(req: Request, type_id: str) -> VolumeType:
    found = volume_types.get_by_id(req.db, type_id, is_locked=True)
    if found.is_public:
        raise errors.BadRequest(reason="Invalid volume type: Type access modification is not applicable to public volume type.")
    return found
