# SPDX-License-Identifier: Apache-2.0
"""`POST /snapshots`: checks the volume and the quota, writes the row, and has a conductor make the snapshot."""

from __future__ import annotations

from collections.abc import Collection

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.volume.snapshots import views
from nova_lite.api.volume.volumes.create import text_of
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.volume import quota, snapshots, volume_types, volumes
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus

_POLICY = Rule("volume:create_snapshot", MEMBER)
_BODY = schemas.keyed("snapshot", schemas.closed({
    "volume_id": schemas.UUID_OR_NULL, "name": schemas.NAME_OR_NULL, "display_name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION,
    "display_description": schemas.DESCRIPTION, "metadata": schemas.METADATA_OR_NULL, "force": schemas.BOOLEAN}, required=("volume_id",)))


@route("POST", "/snapshots", policy=_POLICY, status=202, until="3.65", body={"3.0": _BODY}, response=closed(snapshot=views.BRIEF))
def create(req: Request, body: Body) -> Body:
    """Keep the present content of a volume.

    `force` need not be given for a volume in use: openstackclient 10 leaves it out where the service knows 3.66, and requests 3.65.
    202 with the snapshot, whose status becomes available. 400: the volume is neither available nor, unless `force` is false, in use, or is
    migrating.
    404: no such volume in the project. 413: over quota.
    """
    params = body["snapshot"]
    allowed = [VolumeStatus.AVAILABLE, *([VolumeStatus.IN_USE] if schemas.is_true(params.get("force", True)) else [])]
    return {"snapshot": view(views.BRIEF, make(req, params, allowed), req)}


@route("POST", "/snapshots", policy=_POLICY, status=202, since="3.66", body={"3.66": _BODY}, response=closed(snapshot=views.BRIEF))
def create_in_use(req: Request, body: Body) -> Body:
    """As `create`, of volumes in use without `force`, which may not be false.

    202, 400, 404 and 413 as there.
    """
    params = body["snapshot"]
    if "force" in params and not schemas.is_true(params["force"]):
        raise errors.BadRequest(reason="Since microversion 3.66 the 'force' flag is invalid for this request: leave it out.")
    return {"snapshot": view(views.BRIEF, make(req, params, [VolumeStatus.AVAILABLE, VolumeStatus.IN_USE]), req)}


def make(req: Request, params: Body, allowed: Collection[VolumeStatus]) -> VolumeSnapshot:
    """Write the snapshot's row, and have a conductor make it. `allowed`: statuses of the volume.

    :raises errors.NovaLiteError: as `create` refuses.
    """
    volume = find_locked(req, str(params["volume_id"]))  # null is no volume: 404, as in Cinder
    check_volume(volume, allowed)
    kind = volume_types.by_ids(req.db, {volume.volume_type_id or ""}).get(volume.volume_type_id or "")
    quota.check(req.db, req.conf, req.ctxt.project_id, quota.for_snapshot(req.conf, kind.name if kind else None, volume.size_gb))
    return add(req, volume, params)


def check_volume(volume: Volume, allowed: Collection[VolumeStatus]) -> None:
    """:raises errors.BadRequest: there can be no snapshot of the volume, which the caller has locked, now."""
    if volume.status not in allowed:
        raise errors.WrongStatus(action="create a snapshot of", what="Volume", id=volume.id, status=volume.status, allowed=", ".join(allowed))
    volumes.refuse_moved(volume)
    if volume.host is None:
        raise errors.BadRequest(reason=f"The snapshot cannot be created because volume {volume.id} has not been scheduled to any host.")


def add(req: Request, volume: Volume, params: Body, *, group_snapshot_id: str | None = None) -> VolumeSnapshot:
    """Write the snapshot's row and the action that makes it. The caller has checked the volume and the quota."""
    snapshot_id = new_id()
    snapshot = VolumeSnapshot(
        id=snapshot_id, volume_id=volume.id, project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name=text_of(params, "name"),
        description=text_of(params, "description"), size_gb=volume.size_gb, group_snapshot_id=group_snapshot_id,
        provider_name=snapshots.provider_name(snapshot_id), volume_type_id=volume.volume_type_id,
        encryption_key_id=volume.encryption_key_id, metadata_items=params.get("metadata") or {})
    req.db.add(snapshot)
    req.db.flush()
    begin_action.record(req, begin_action.SNAPSHOT, snapshot.id, "create_snapshot", {})
    return snapshot
