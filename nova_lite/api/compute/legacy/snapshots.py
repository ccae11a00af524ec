# SPDX-License-Identifier: Apache-2.0
"""The proxies to snapshots of volumes, up to 2.35; later clients use the Block Storage API."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.volume.common.links import micros
from nova_lite.api.volume.common.schemas import DESCRIPTION, NAME_OR_NULL
from nova_lite.api.volume.snapshots.create import make
from nova_lite.api.volume.snapshots.snapshots import begin_delete, find
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, STRING_OR_NULL, TIME, UUID, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.volume.lists import Filters, newest
from nova_lite.db.volume.snapshots import LISTS, VolumeSnapshot
from nova_lite.lifecycle.volumes import VolumeStatus

_POLICY = "os_compute_api:os-volumes:snapshots"
_UNTIL = "2.35"
QUERY = schemas.queries({"2.0": ("limit", "offset")})
_CREATE = {"2.0": schemas.keyed("snapshot", schemas.closed({
    "volume_id": {"type": "string", "maxLength": 255}, "force": schemas.BOOLEAN, "display_name": NAME_OR_NULL, "display_description": DESCRIPTION,
}, required=("volume_id",)) | {"additionalProperties": True})}
_SNAPSHOT = closed(id=UUID, volumeId=UUID, status=STRING, size=INTEGER, createdAt=TIME, displayName=STRING_OR_NULL, displayDescription=STRING_OR_NULL)


@route("GET", "/os-snapshots", policy=Rule(f"{_POLICY}:list", READER), until=_UNTIL, query=QUERY, response=closed(snapshots=many(_SNAPSHOT)))
@route("GET", "/os-snapshots/detail", policy=Rule(f"{_POLICY}:detail", READER), until=_UNTIL, query=QUERY,
       response=closed(snapshots=many(_SNAPSHOT)))
def index(req: Request) -> Body:
    """List the project's snapshots, newest first. 200. 400: a wrong limit or offset."""
    query = newest(LISTS, Filters(project_id=req.ctxt.project_id)).limit(paging.limit(req)).offset(paging.offset(req))
    return {"snapshots": [_document(row) for row in req.db.scalars(query)]}


@route("POST", "/os-snapshots", policy=Rule(f"{_POLICY}:create", MEMBER), until=_UNTIL, body=_CREATE, response=closed(snapshot=_SNAPSHOT))
def create(req: Request, body: Body) -> Body:
    """Keep the present content of a volume; with `force` also of one in use.

    200 with the snapshot, which the Block Storage API has too. 400: a wrong name, or the volume is neither available nor, with `force`, in
    use, or is migrating. 403: over quota. 404: no such volume in the project.
    """
    params = body["snapshot"]
    allowed = [VolumeStatus.AVAILABLE, *([VolumeStatus.IN_USE] if schemas.is_true(params.get("force")) else [])]
    named = {name: params.get(name) for name in ("volume_id", "display_name", "display_description")}
    try:
        return {"snapshot": _document(make(req, named, allowed))}
    except errors.OverVolumeQuota as over:
        raise errors.Forbidden(reason=over.text) from None


@route("GET", "/os-snapshots/{snapshot_id}", policy=Rule(f"{_POLICY}:show", READER), until=_UNTIL, response=closed(snapshot=_SNAPSHOT))
def show(req: Request, snapshot_id: str) -> Body:
    """Show one snapshot. 200. 404: no such snapshot in the project."""
    return {"snapshot": _document(find(req, snapshot_id))}


@route("DELETE", "/os-snapshots/{snapshot_id}", policy=Rule(f"{_POLICY}:delete", MEMBER), until=_UNTIL, status=202)
def delete(req: Request, snapshot_id: str) -> None:
    """Delete a snapshot.

    202 with no body. 400: its status forbids it, its volume is being deleted, or a volume is being made from it. 404: no such snapshot in
    the project.
    """
    begin_delete(req, find(req, snapshot_id), is_forced=False)


def _document(row: VolumeSnapshot) -> Body:
    return {"id": row.id, "volumeId": row.volume_id, "status": row.status, "size": row.size_gb, "createdAt": micros(row.created_at),
            "displayName": row.name, "displayDescription": row.description}
