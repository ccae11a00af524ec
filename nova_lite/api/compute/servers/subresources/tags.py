# SPDX-License-Identifier: Apache-2.0
"""Tags of one server: labels to filter lists by."""

from __future__ import annotations

import re
import urllib.parse

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.create_schemas import TAGS
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import STRING, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute import servers
from nova_lite.db.compute.servers import Server

_MAX = 50  # tags of one server, as in Nova
_ALL_TAGS = closed(tags=many(STRING))
_REPLACE = schemas.keyed("tags", TAGS)


@route("GET", "/servers/{server_id}/tags", since="2.26", policy=Rule("os_compute_api:os-server-tags:index", READER),
       response=_ALL_TAGS)
def index(req: Request, server_id: str) -> Body:
    """List all tags.

    200 with them. 404: no such server in the project.
    """
    return {"tags": begin_action.find(req, server_id).tags}


@route("PUT", "/servers/{server_id}/tags", since="2.26", body={"2.26": _REPLACE}, response=_ALL_TAGS,
       policy=Rule("os_compute_api:os-server-tags:update_all", MEMBER))
def update_all(req: Request, body: Body, server_id: str) -> Body:
    """Replace all tags.

    200 with them. 400: a tag is invalid, or there are too many. 404: no such server in the project. 409: it is locked.
    """
    server = _writable(req, server_id)
    server.tags = list(dict.fromkeys(body["tags"]))
    return {"tags": server.tags}


@route("DELETE", "/servers/{server_id}/tags", since="2.26", status=204,
       policy=Rule("os_compute_api:os-server-tags:delete_all", MEMBER))
def delete_all(req: Request, server_id: str) -> None:
    """Remove all tags.

    204 with no body. 404: no such server in the project. 409: it is locked.
    """
    _writable(req, server_id).tags = []


@route("GET", "/servers/{server_id}/tags/{tag}", since="2.26", status=204,
       policy=Rule("os_compute_api:os-server-tags:show", READER))
def show(req: Request, server_id: str, tag: str) -> None:
    """Check whether the server has the tag.

    204 with no body. 404: no such server in the project, or it does not have the tag.
    """
    _refuse_missing(begin_action.find(req, server_id), tag)


@route("PUT", "/servers/{server_id}/tags/{tag}", since="2.26", status=201, also=(204,),
       policy=Rule("os_compute_api:os-server-tags:update", MEMBER))
def update(req: Request, server_id: str, tag: str) -> Reply:
    """Add a tag.

    201 with its URL in `Location`; 204 if the server has it already. 400: a tag is invalid, or there are too many. 404: no such server in the project. 409: it is locked.
    """
    server = _writable(req, server_id)
    if not re.fullmatch(r"[^,/]{1,60}", tag):
        raise errors.BadRequest(reason=f"Tag '{tag}' is invalid. It must be a string without characters '/' and ','. "
                                       "Maximum length of a tag is 60")
    if tag in server.tags:
        return Reply(status=204)
    if len(server.tags) >= _MAX:
        raise errors.BadRequest(reason=f"The number of tags exceeded the per-server limit {_MAX}")
    server.tags = [*server.tags, tag]
    return Reply(headers={"Location": f"{req.base_url}/servers/{server.id}/tags/{urllib.parse.quote(tag)}"})


@route("DELETE", "/servers/{server_id}/tags/{tag}", since="2.26", status=204,
       policy=Rule("os_compute_api:os-server-tags:delete", MEMBER))
def delete(req: Request, server_id: str, tag: str) -> None:
    """Remove a tag.

    204 with no body. 404: no such server in the project, or it does not have the tag. 409: it is locked.
    """
    server = _writable(req, server_id)
    _refuse_missing(server, tag)
    server.tags = [other for other in server.tags if other != tag]


def _writable(req: Request, server_id: str) -> Server:
    """The server, locked: what is written follows from what is read, and many write at once."""
    server = servers.get_locked(req.db, server_id, project_id=req.ctxt.visible_project)
    begin_action.refuse_locked(req, server)
    return server


def _refuse_missing(server: Server, tag: str) -> None:
    if tag not in server.tags:
        raise errors.NotFound(f"Server {server.id} has no tag '{tag}'")
