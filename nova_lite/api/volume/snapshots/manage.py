# SPDX-License-Identifier: Apache-2.0
"""Snapshots of pools, as administrators list them who want to take some in, at the old path and at the one that 3.8 added."""

from __future__ import annotations

from nova_lite.api.volume.common import manageable, schemas
from nova_lite.api.volume.snapshots import views
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import snapshots, volumes

_OLD, _NEW, _KEY = "/os-snapshot-manage", "/manageable_snapshots", "manageable-snapshots"
_MANAGE, _LIST = Rule("snapshot_extension:snapshot_manage", ADMIN), Rule("snapshot_extension:list_manageable", ADMIN)
_BODY = schemas.keyed("snapshot", schemas.closed({
    "volume_id": schemas.UUID, "ref": manageable.REF, "name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION,
    "metadata": schemas.METADATA_OR_NULL}, required=("volume_id", "ref")))
_SOURCE = Field("source_reference", lambda row: {"source-name": volumes.provider_name(row.volume_id)}, closed(**{"source-name": STRING}))
_BRIEF, _DETAIL = (*manageable.BRIEF, _SOURCE), (*manageable.DETAIL, _SOURCE)


@route("GET", _OLD, policy=_LIST, response=closed(**{_KEY: many(_BRIEF)}))
@route("GET", _NEW, policy=_LIST, since="3.8", response=closed(**{_KEY: many(_BRIEF)}))
def index(req: Request) -> Body:
    """List the snapshots of a pool, `host`.

    200 with a page of them. 400: there is no such pool, or a limit or offset is wrong.
    """
    return {_KEY: [view(_BRIEF, row, req) for row in _rows(req)]}


@route("GET", f"{_OLD}/detail", policy=_LIST, response=closed(**{_KEY: many(_DETAIL)}))
@route("GET", f"{_NEW}/detail", policy=_LIST, since="3.8", response=closed(**{_KEY: many(_DETAIL)}))
def detail(req: Request) -> Body:
    """List the snapshots of a pool, with why they cannot be taken in.

    200 and 400 as for `index`.
    """
    return {_KEY: [view(_DETAIL, row, req) for row in _rows(req)]}


def _rows(req: Request) -> list[snapshots.VolumeSnapshot]:
    return manageable.rows(req, snapshots.of_pool(manageable.pool_of(req)), snapshots.BY_PROVIDER_NAME)


@route("POST", _OLD, policy=_MANAGE, status=202, body={"3.0": _BODY}, response=closed(snapshot=views.BRIEF))
@route("POST", _NEW, policy=_MANAGE, status=202, since="3.8", body={"3.8": _BODY}, response=closed(snapshot=views.BRIEF))
def manage(req: Request, body: Body) -> Body:
    """Take in a snapshot that a backend has.

    202 is never answered, since a pool has nothing that no row names: 400. 404: no such volume.
    """
    params = body["snapshot"]
    volumes.get(req.db, params["volume_id"], project_id=req.ctxt.visible_project)
    name = manageable.name_of(params)
    raise manageable.refusal(name, is_managed=snapshots.is_known(req.db, name))
