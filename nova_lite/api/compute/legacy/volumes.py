# SPDX-License-Identifier: Apache-2.0
"""The proxies to volumes, up to 2.35; later clients use the Block Storage API."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.volume.common.find import find
from nova_lite.api.volume.common.links import micros
from nova_lite.api.volume.common.schemas import DESCRIPTION, METADATA, NAME_OR_NULL
from nova_lite.api.volume.volumes import sources
from nova_lite.api.volume.volumes.create import make
from nova_lite.api.volume.volumes.volumes import begin_delete
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    INTEGER,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    TIME,
    UUID,
    closed,
    each,
    many,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.volume import attachments, volume_types
from nova_lite.db.volume.lists import Filters, newest
from nova_lite.db.volume.volumes import LISTS, Volume
from nova_lite.lifecycle.volumes import AttachmentStatus

_POLICY = "os_compute_api:os-volumes"
_UNTIL = "2.35"
QUERY = schemas.queries({"2.0": ("limit", "offset")})
_CREATE = {"2.0": schemas.keyed("volume", schemas.closed({
    "size": schemas.integer(1), "display_name": NAME_OR_NULL, "display_description": DESCRIPTION, "volume_type": {"type": "string", "maxLength": 255},
    "metadata": METADATA, "snapshot_id": {"type": "string", "maxLength": 255}, "availability_zone": {"type": "string", "maxLength": 255},
}, required=("size",)) | {"additionalProperties": True})}
_VOLUME = closed(
    id=UUID, size=INTEGER, createdAt=TIME, metadata=STRINGS,
    attachments=many(closed(each("device id serverId volumeId", STRING_OR_NULL))),
    **each("displayDescription displayName snapshotId volumeType", STRING_OR_NULL), **each("availabilityZone status", STRING))


@route("GET", "/os-volumes", policy=Rule(f"{_POLICY}:list", READER), until=_UNTIL, query=QUERY, response=closed(volumes=many(_VOLUME)))
@route("GET", "/os-volumes/detail", policy=Rule(f"{_POLICY}:detail", READER), until=_UNTIL, query=QUERY,
       response=closed(volumes=many(_VOLUME)))
def index(req: Request) -> Body:
    """List the project's volumes, newest first. 200. 400: a wrong limit or offset."""
    query = newest(LISTS, Filters(project_id=req.ctxt.project_id)).limit(paging.limit(req)).offset(paging.offset(req))
    return {"volumes": _documents(req, req.db.scalars(query).all())}


@route("POST", "/os-volumes", policy=Rule(f"{_POLICY}:create", MEMBER), until=_UNTIL, body=_CREATE, response=closed(volume=_VOLUME))
def create(req: Request, body: Body) -> Body:
    """Create a volume, empty or from a snapshot.

    200 with the volume, which the Block Storage API has too. 400: a wrong size, name, metadata or zone, or the snapshot is not available.
    403: over quota, or the type is for several servers, which no client of these versions can attach. 404: no such type or snapshot.
    501: the type is encrypted.
    """
    named = ("size", "display_name", "display_description", "volume_type", "metadata", "snapshot_id", "availability_zone")
    params = {name: value for name, value in body["volume"].items() if name in named}
    try:
        volume = make(req, params, sources.of(req, params))
    except errors.OverVolumeQuota as over:
        raise errors.Forbidden(reason=over.text) from None
    return {"volume": _documents(req, [volume])[0]}


@route("GET", "/os-volumes/{volume_id}", policy=Rule(f"{_POLICY}:show", READER), until=_UNTIL, response=closed(volume=_VOLUME))
def show(req: Request, volume_id: str) -> Body:
    """Show one volume. 200. 404: no such volume in the project."""
    return {"volume": _documents(req, [find(req, volume_id)])[0]}


@route("DELETE", "/os-volumes/{volume_id}", policy=Rule(f"{_POLICY}:delete", MEMBER), until=_UNTIL, status=202)
def delete(req: Request, volume_id: str) -> None:
    """Delete a volume.

    202 with no body. 400: its status forbids it, it is attached, migrating or in a group, or it has snapshots. 404: no such volume in the
    project.
    """
    begin_delete(req, find(req, volume_id), is_cascade=False, is_forced=False)


def _documents(req: Request, rows: Sequence[Volume]) -> list[Body]:
    by_volume = attachments.of_volumes(req.db, [row.id for row in rows])
    types = volume_types.by_ids(req.db, {row.volume_type_id for row in rows if row.volume_type_id})
    return [{
        "id": row.id, "status": row.status, "size": row.size_gb, "createdAt": micros(row.created_at),
        "availabilityZone": row.availability_zone or req.conf.compute.availability_zone,  # clients take no null; the pool's is known in a moment
        # Nova shows one empty item where there is none.
        "attachments": [
            {"id": row.id, "volumeId": row.id, "serverId": one.server_id, "device": one.mountpoint}
            for one in by_volume.get(row.id, ()) if one.status == AttachmentStatus.ATTACHED] or [{}],
        "displayName": row.name, "displayDescription": row.description, "snapshotId": row.snapshot_id, "metadata": dict(row.metadata_items),
        "volumeType": types[row.volume_type_id].name if row.volume_type_id in types else None,
    } for row in rows]
