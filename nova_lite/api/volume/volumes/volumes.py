# SPDX-License-Identifier: Apache-2.0
"""One volume: shows, changes and deletes it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, paging, schemas
from nova_lite.api.volume.common.find import find, find_locked
from nova_lite.api.volume.volumes import views
from nova_lite.api.volume.volumes.create import text_of
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import attachments, snapshots, volumes
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import SnapshotStatus, VolumeStatus

FORCE_DELETE = Rule("volume:force_delete", ADMIN)
EXTRA_RULES = (FORCE_DELETE,)
_FORCED_SINCE = parse("3.23")
_TEXTS = ("name", "description", "display_name", "display_description")
_PROPERTIES = {"name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION, "display_name": schemas.NAME_OR_NULL,
               "display_description": schemas.DESCRIPTION, "metadata": schemas.METADATA}
_UPDATE = schemas.keyed("volume", schemas.closed(_PROPERTIES))
_UPDATE_SOMETHING = schemas.keyed("volume", {**schemas.closed(_PROPERTIES), "minProperties": 1})
_DELETABLE_SNAPSHOTS = (SnapshotStatus.AVAILABLE, SnapshotStatus.ERROR, SnapshotStatus.ERROR_DELETING)


@route("GET", "/volumes/{volume_id}", policy=Rule("volume:get", READER), response=closed(volume=views.DETAIL_RESPONSE))
def show(req: Request, volume_id: str) -> Body:
    """Show a volume.

    200 with it. 404: no such volume in the project.
    """
    return {"volume": views.detail(req, find(req, volume_id))}


@route("PUT", "/volumes/{volume_id}", policy=Rule("volume:update", MEMBER), body={"3.0": _UPDATE, "3.53": _UPDATE_SOMETHING},
       response=closed(volume=views.MADE_RESPONSE))
def update(req: Request, body: Body, volume_id: str) -> Body:
    """Change name, description or metadata.

    200 with the volume. 400: there is nothing to change (from 3.53 on), an unknown field, or the volume is in maintenance. 404: no such
    volume in the project.
    """
    params, volume = body["volume"], find_locked(req, volume_id)
    if volume.status == VolumeStatus.MAINTENANCE:
        raise errors.BadRequest(reason=f"Volume {volume.id} cannot be updated while it is in maintenance.")
    for name in ("name", "description"):
        if name in params or f"display_{name}" in params:
            setattr(volume, name, text_of(params, name))
    if "metadata" in params:
        volume.metadata_items = params["metadata"]
    req.db.flush()
    return {"volume": views.made(req, volume)}


@route("DELETE", "/volumes/{volume_id}", policy=Rule("volume:delete", MEMBER), status=202)
def delete(req: Request, volume_id: str) -> None:
    """Delete a volume; with `cascade` its snapshots too, with `force` (from 3.23 on) in almost every status.

    202 with no body. 400: its status forbids it, it is attached or migrating, a volume is being made from it, or it has snapshots and
    `cascade` is not set or one of them is busy or another project's. 403: `force`, and the caller may not. 404: no such volume in the
    project.
    """
    is_cascade = paging.boolean(req, "cascade")
    is_forced = req.version >= _FORCED_SINCE and paging.boolean(req, "force")
    volume = find(req, volume_id)
    if is_forced:
        req.policy.check(FORCE_DELETE, req.ctxt, {"project_id": volume.project_id, "user_id": volume.user_id})
    begin_delete(req, volume, is_cascade=is_cascade, is_forced=is_forced)


def begin_delete(req: Request, volume: Volume, *, is_cascade: bool, is_forced: bool, is_with_group: bool = False) -> None:
    """Claim the volume for its deletion and record the action. `is_with_group`: its group goes too.

    :raises errors.BadRequest: what forbids it.
    """
    volumes.begin(req.db, volume, "force_delete_volume" if is_forced else "delete_volume")
    if volume.group_id is not None and not is_with_group:
        raise errors.BadRequest(reason=f"Volume {volume.id} is in group {volume.group_id}: take it out of the group, or delete the group.")
    if attachments.of_volume(req.db, volume.id):
        raise errors.BadRequest(reason=f"Volume {volume.id} is attached: detach it before it is deleted.")
    volumes.refuse_copied(req.db, volume)
    _check_snapshots(req, volume, is_cascade=is_cascade)
    if is_forced:
        begin_action.cancel_others(req, volume.id)
        _delete_copies(req, volume)
    begin_action.record(req, begin_action.VOLUME, volume.id, "delete_volume", {"is_cascade": is_cascade})


def _check_snapshots(req: Request, volume: Volume, *, is_cascade: bool) -> None:
    for snapshot in snapshots.of_volume(req.db, volume.id):
        if not is_cascade:
            raise errors.BadRequest(reason=f"Volume {volume.id} still has snapshots: delete them first, or delete it with cascade.")
        if snapshot.project_id != volume.project_id:
            raise errors.BadRequest(reason=f"Snapshot {snapshot.id} of volume {volume.id} is another project's.")
        if snapshot.group_snapshot_id is not None:
            raise errors.BadRequest(reason=f"Snapshot {snapshot.id} of volume {volume.id} is part of group snapshot {snapshot.group_snapshot_id}.")
        if snapshot.status not in _DELETABLE_SNAPSHOTS:
            raise errors.BadRequest(reason=f"Snapshot {snapshot.id} cannot be deleted while it is {snapshot.status}.")
        copy = volumes.copied_from(req.db, snapshot_id=snapshot.id)
        if copy is not None:
            raise errors.BadRequest(reason=f"Volume {copy} is being made from snapshot {snapshot.id}: try again when that one is available.")


def _delete_copies(req: Request, volume: Volume) -> None:
    """Those of a retype that does not end any more."""
    for copy in volumes.copies_of(req.db, volume.id):
        volumes.begin(req.db, copy, "force_delete_volume")
        begin_action.record(req, begin_action.VOLUME, copy.id, "delete_volume", {"is_cascade": False})
