# SPDX-License-Identifier: Apache-2.0
"""/projects/{project_id}/tags."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.identity.catalog import collection, listed
from nova_lite.api.identity.projects import TAG, TAGS, require_own
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.api.wsgi.validation import Validator
from nova_lite.db.identity import project_tags, users

_TAGS, _TAG = "/projects/{project_id}/tags", "/projects/{project_id}/tags/{tag}"
_LIST, _GET = Rule("identity:list_project_tags", ANYONE), Rule("identity:get_project_tag", ANYONE)
UPDATE = {"type": "object", "properties": {"tags": TAGS}, "required": ["tags"], "additionalProperties": False}
_CHECK = Validator()


@route("GET", _TAGS, policy=_LIST, response=listed("tags", STRING))
def index(req: Request, project_id: str) -> Body:
    """List the tags of a project: of the caller, or any for an admin. 200. 403: another one. 404: no such project."""
    return _view(req, _shown(req, project_id, _LIST))


@route("PUT", _TAGS, policy=Rule("identity:update_project_tags", ADMIN), body={"2.0": UPDATE}, response=listed("tags", STRING))
def update(req: Request, body: Body, project_id: str) -> Body:
    """Replace all tags. 200. 400: too many, or one has a comma or slash. 404: no such project."""
    project = users.get(req.db, users.Project, project_id, is_locked=True)
    project_tags.replace(req.db, project.id, body["tags"])
    return _view(req, project)


@route("DELETE", _TAGS, policy=Rule("identity:delete_project_tags", ADMIN), status=204)
def delete_all(req: Request, project_id: str) -> None:
    """Remove all tags. 204. 404: no such project."""
    project_tags.replace(req.db, users.get(req.db, users.Project, project_id, is_locked=True).id, [])


@route("GET", _TAG, policy=_GET, status=204)
def check(req: Request, project_id: str, tag: str) -> None:
    """Check whether the project has the tag; HEAD too. 204: yes. 403: another project. 404: no."""
    project = _shown(req, project_id, _GET)
    if tag not in project_tags.tags_of(req.db, [project.id])[project.id]:
        raise errors.NotFound(what="Project tag", id=tag)


@route("PUT", _TAG, policy=Rule("identity:create_project_tag", ADMIN), status=201)
def add(req: Request, project_id: str, tag: str) -> None:
    """Add a tag; idempotent. 201. 400: it has a comma, or the project has as many as it may. 404: no such project."""
    _CHECK.body(TAG, tag)
    project_tags.add(req.db, users.get(req.db, users.Project, project_id, is_locked=True).id, tag)


@route("DELETE", _TAG, policy=Rule("identity:delete_project_tag", ADMIN), status=204)
def remove(req: Request, project_id: str, tag: str) -> None:
    """Remove a tag. 204. 404: no such project or tag."""
    project_tags.remove(req.db, users.get(req.db, users.Project, project_id).id, tag)


def _shown(req: Request, project_id: str, rule: Rule) -> users.Project:
    require_own(req, project_id, rule)
    return users.get(req.db, users.Project, project_id)


def _view(req: Request, project: users.Project) -> Body:
    return collection(req, "tags", f"/projects/{project.id}/tags", project_tags.tags_of(req.db, [project.id])[project.id])
