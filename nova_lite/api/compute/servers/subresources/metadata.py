# SPDX-License-Identifier: Apache-2.0
"""Metadata of one server: key-value pairs of its owner, which the guest can read too."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.quota_check import check_metadata
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRINGS, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute import servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.quotas import quotas
from nova_lite.lifecycle.servers import Vm

METADATA = schemas.keyed("metadata", schemas.METADATA)
META = schemas.keyed("meta", {**schemas.METADATA, "minProperties": 1, "maxProperties": 1})
_ALL_ITEMS, _ONE_ITEM = closed(metadata=STRINGS), closed(meta=STRINGS)
_WRITABLE = (Vm.ACTIVE, Vm.PAUSED, Vm.SUSPENDED, Vm.STOPPED)


@route("GET", "/servers/{server_id}/metadata", policy=Rule("os_compute_api:server-metadata:index", READER),
       response=_ALL_ITEMS)
def index(req: Request, server_id: str) -> Body:
    """Show all items.

    200 with them. 404: no such server in the project.
    """
    return {"metadata": begin_action.find(req, server_id).metadata_items}


@route("POST", "/servers/{server_id}/metadata", policy=Rule("os_compute_api:server-metadata:create", MEMBER),
       body={"2.0": METADATA}, response=_ALL_ITEMS)
def create(req: Request, body: Body, server_id: str) -> Body:
    """Add or replace items.

    200 with all items. 400: the body is invalid. 403: over quota. 404: no such server in the project. 409: it is locked, or its
    state forbids it.
    """
    server = _writable(req, server_id)
    return {"metadata": _set(req, server, {**server.metadata_items, **body["metadata"]})}


@route("PUT", "/servers/{server_id}/metadata", policy=Rule("os_compute_api:server-metadata:update_all", MEMBER),
       body={"2.0": METADATA}, response=_ALL_ITEMS)
def update_all(req: Request, body: Body, server_id: str) -> Body:
    """Replace all items.

    200 with all items. 400: the body is invalid. 403: over quota. 404: no such server in the project. 409: it is locked, or its
    state forbids it.
    """
    return {"metadata": _set(req, _writable(req, server_id), body["metadata"])}


@route("GET", "/servers/{server_id}/metadata/{key}", policy=Rule("os_compute_api:server-metadata:show", READER),
       response=_ONE_ITEM)
def show(req: Request, server_id: str, key: str) -> Body:
    """Show one item.

    200 with it. 404: no such server in the project, or it has no such item.
    """
    items = begin_action.find(req, server_id).metadata_items
    if key not in items:
        raise errors.NotFound("Metadata item was not found")
    return {"meta": {key: items[key]}}


@route("PUT", "/servers/{server_id}/metadata/{key}", policy=Rule("os_compute_api:server-metadata:update", MEMBER),
       body={"2.0": META}, response=_ONE_ITEM)
def update(req: Request, body: Body, server_id: str, key: str) -> Body:
    """Set one item.

    200 with the item. 400: the body is invalid. 403: over quota. 404: no such server in the project. 409: it is locked, or its
    state forbids it.
    """
    if key not in body["meta"]:
        raise errors.BadRequest(reason="Request body and URI mismatch")
    server = _writable(req, server_id)
    _set(req, server, {**server.metadata_items, **body["meta"]})
    return {"meta": body["meta"]}


@route("DELETE", "/servers/{server_id}/metadata/{key}", policy=Rule("os_compute_api:server-metadata:delete", MEMBER),
       status=204)
def delete(req: Request, server_id: str, key: str) -> None:
    """Remove one item.

    204 with no body. 404: no such server in the project, or it has no such item. 409: it is locked, or its state forbids it.
    """
    server = _writable(req, server_id)
    if key not in server.metadata_items:
        raise errors.NotFound("Metadata item was not found")
    _set(req, server, {name: value for name, value in server.metadata_items.items() if name != key})


def _writable(req: Request, server_id: str) -> Server:
    """The server, locked: what is written follows from what is read, and many write at once."""
    server = servers.get_locked(req.db, server_id, project_id=req.ctxt.visible_project)
    begin_action.refuse_locked(req, server)
    if server.vm_state not in _WRITABLE:
        raise errors.WrongState(action="update metadata", id=server.id, attribute="vm_state", state=server.vm_state)
    return server


def _set(req: Request, server: Server, items: dict[str, str]) -> dict[str, str]:
    if len(items) > len(server.metadata_items):
        check_metadata(items, quotas.limits(req.db, req.conf, server.project_id)["metadata_items"])
    server.metadata_items = items
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server.id)
    return items
