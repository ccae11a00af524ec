# SPDX-License-Identifier: Apache-2.0
"""One snapshot: shows, renames and deletes it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.snapshots import views
from nova_lite.api.volume.volumes.create import text_of
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.volume import snapshots, volumes
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.lifecycle.volumes import VolumeStatus

_PROPERTIES = {"name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION, "display_name": schemas.NAME_OR_NULL,
               "display_description": schemas.DESCRIPTION}
_UPDATE = schemas.keyed("snapshot", {**schemas.closed(_PROPERTIES), "minProperties": 1})


def find(req: Request, snapshot_id: str) -> VolumeSnapshot:
    """The snapshot, if the caller may see it.

    :raises errors.NotFound: there is none, or it is another project's.
    """
    return snapshots.get(req.db, snapshot_id, project_id=req.ctxt.visible_project)


@route("GET", "/snapshots/{snapshot_id}", policy=Rule("volume:get_snapshot", READER), response=closed(snapshot=views.DETAIL))
def show(req: Request, snapshot_id: str) -> Body:
    """Show a snapshot.

    200 with it. 404: no such snapshot in the project.
    """
    return {"snapshot": view(views.DETAIL, find(req, snapshot_id), req)}


@route("PUT", "/snapshots/{snapshot_id}", policy=Rule("volume:update_snapshot", MEMBER), body={"3.0": _UPDATE},
       response=closed(snapshot=views.BRIEF))
def update(req: Request, body: Body, snapshot_id: str) -> Body:
    """Change name or description.

    200 with the snapshot. 400: neither is given, or another field. 404: no such snapshot in the project.
    """
    params = body["snapshot"]
    snapshot = snapshots.get_locked(req.db, snapshot_id, project_id=req.ctxt.visible_project)
    for name in ("name", "description"):
        if name in params or f"display_{name}" in params:
            setattr(snapshot, name, text_of(params, name))
    req.db.flush()
    return {"snapshot": view(views.BRIEF, snapshot, req)}


@route("DELETE", "/snapshots/{snapshot_id}", policy=Rule("volume:delete_snapshot", MEMBER), status=202)
def delete(req: Request, snapshot_id: str) -> None:
    """Delete a snapshot; volumes made from it stay whole.

    202 with no body. 400: its status forbids it, its volume is being deleted, or a volume is being made from it. 404: no such snapshot in
    the project.
    """
    begin_delete(req, find(req, snapshot_id), is_forced=False)


def begin_delete(req: Request, snapshot: VolumeSnapshot, *, is_forced: bool, is_with_group: bool = False) -> None:
    """Claim the snapshot for its deletion and record the action. `is_with_group`: its group snapshot goes too.

    :raises errors.BadRequest: what forbids it.
    """
    parent = volumes.get_locked(req.db, snapshot.volume_id)
    if parent.status == VolumeStatus.DELETING:
        raise errors.BadRequest(reason=f"Snapshot {snapshot.id} is deleted with its volume {snapshot.volume_id}.")
    if snapshot.group_snapshot_id is not None and not is_with_group:
        raise errors.BadRequest(reason=f"Snapshot {snapshot.id} is part of group snapshot {snapshot.group_snapshot_id}: delete that.")
    snapshots.begin_delete(req.db, snapshot, is_forced=is_forced)
    copy = volumes.copied_from(req.db, snapshot_id=snapshot.id)
    if copy is not None:
        raise errors.BadRequest(reason=f"Volume {copy} is being made from snapshot {snapshot.id}: delete it when that one is available.")
    if is_forced:
        begin_action.cancel_others(req, snapshot.id)
    begin_action.record(req, begin_action.SNAPSHOT, snapshot.id, "delete_snapshot", {})
