# SPDX-License-Identifier: Apache-2.0
"""revert (3.40): a volume gets the content of its newest snapshot back."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import snapshots, volumes
from nova_lite.lifecycle.volumes import SnapshotStatus

_BODY = schemas.keyed("revert", schemas.opened({"snapshot_id": {"type": ["string", "null"]}}))


@action("revert", path=ACTIONS, policy=Rule("volume:revert_to_snapshot", MEMBER), since="3.40", body={"3.40": _BODY})
def revert(req: Request, body: Body, volume_id: str) -> None:
    """Give the volume the content of its newest snapshot; what was written since is lost.

    202 with no body. 400: that is not its newest snapshot, or was of another size. 404: no such volume in the project. 409: the volume or
    the snapshot is not available.
    """
    volume = find_locked(req, volume_id)  # no other snapshot is made meanwhile
    latest, requested = snapshots.latest(req.db, volume.id), body["revert"].get("snapshot_id")
    if latest is None:
        raise errors.BadRequest(reason=f"Volume {volume.id} doesn't have any snapshots.")
    if latest.id != requested:
        raise errors.BadRequest(reason=f"Specified snapshot {requested} is None or not the latest one of volume {volume.id}.")
    if latest.size_gb != volume.size_gb:
        raise errors.BadRequest(
            reason=f"Can't revert volume {volume.id} to its latest snapshot {latest.id}: the volume has {volume.size_gb} GiB, the snapshot {latest.size_gb}.")
    try:
        volumes.begin(req.db, volume, "revert_volume")
    except errors.WrongStatus as error:
        raise errors.Conflict(reason=error.text) from None
    if not snapshots.set_status(req.db, latest.id, SnapshotStatus.RESTORING, among=[str(SnapshotStatus.AVAILABLE)]):
        raise errors.Conflict(reason=f"Snapshot {latest.id} is not available but {latest.status}.")
    begin_action.record(req, begin_action.VOLUME, volume.id, "revert_volume", {"snapshot_id": latest.id})
