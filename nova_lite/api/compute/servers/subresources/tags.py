# SPDX-License-Identifier: Apache-2.0
"""Tags of one server: words without values, to select servers by."""

from __future__ import annotations

import re

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.create_schemas import TAGS
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute.servers import Server

_MAX = 50  # tags of one server, as in Nova
_REPLACE = schemas.keyed("tags", TAGS)


@route("GET", "/servers/{server_id}/tags", since="2.26", policy=Rule("os_compute_api:os-server-tags:index", READER))
def index(req: Request, server_id: str) -> Body:
    """All tags."""
    return {"tags": begin_action.find(req, server_id).tags}


@route("PUT", "/servers/{server_id}/tags", since="2.26", body={"2.26": _REPLACE},
       policy=Rule("os_compute_api:os-server-tags:update_all", MEMBER))
def update_all(req: Request, body: Body, server_id: str) -> Body:
    """Replace all tags by these."""
    server = _writable(req, server_id)
    server.tags = list(dict.fromkeys(body["tags"]))
    return {"tags": server.tags}


@route("DELETE", "/servers/{server_id}/tags", since="2.26", status=204,
       policy=Rule("os_compute_api:os-server-tags:delete_all", MEMBER))
def delete_all(req: Request, server_id: str) -> None:
    """Remove all tags."""
    _writable(req, server_id).tags = []


@route("GET", "/servers/{server_id}/tags/{tag}", since="2.26", status=204,
       policy=Rule("os_compute_api:os-server-tags:show", READER))
def show(req: Request, server_id: str, tag: str) -> None:
    """Say by the status whether the server has the tag."""
    _refuse_missing(begin_action.find(req, server_id), tag)


@route("PUT", "/servers/{server_id}/tags/{tag}", since="2.26", status=201, also=(204,),
       policy=Rule("os_compute_api:os-server-tags:update", MEMBER))
def update(req: Request, server_id: str, tag: str) -> Reply:
    """Add a tag; 204 when it is there."""
    server = _writable(req, server_id)
    if not re.fullmatch(r"[^,/]{1,60}", tag):
        raise errors.BadRequest(reason=f"Tag '{tag}' is invalid. It must be a string without characters '/' and ','. "
                                       "Maximum length of a tag is 60")
    if tag in server.tags:
        return Reply(status=204)
    if len(server.tags) >= _MAX:
        raise errors.BadRequest(reason=f"The number of tags exceeded the per-server limit {_MAX}")
    server.tags = [*server.tags, tag]
    return Reply(headers={"Location": f"{req.base_url}/servers/{server.id}/tags/{tag}"})


@route("DELETE", "/servers/{server_id}/tags/{tag}", since="2.26", status=204,
       policy=Rule("os_compute_api:os-server-tags:delete", MEMBER))
def delete(req: Request, server_id: str, tag: str) -> None:
    """Remove a tag."""
    server = _writable(req, server_id)
    _refuse_missing(server, tag)
    server.tags = [known for known in server.tags if known != tag]


def _writable(req: Request, server_id: str) -> Server:
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    return server


def _refuse_missing(server: Server, tag: str) -> None:
    if tag not in server.tags:
        raise errors.NotFound(f"Server {server.id} has no tag '{tag}'")
