# SPDX-License-Identifier: Apache-2.0
"""Actions on snapshots: os-reset_status, os-force_delete, os-update_snapshot_status and os-unmanage."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.paths import SNAPSHOT_ACTIONS
from nova_lite.api.volume.snapshots.snapshots import begin_delete, find
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.volume import snapshots
from nova_lite.lifecycle.volumes import SnapshotStatus

_STATUS = {"type": "string", "minLength": 1, "maxLength": 64}
_RESET = schemas.keyed("os-reset_status", schemas.closed({"status": _STATUS}, required=("status",)))
_UPDATE = schemas.keyed("os-update_snapshot_status", schemas.closed(
    {"status": _STATUS, "progress": {"type": ["string", "null"], "pattern": "^[0-9]{1,3}%?$"}}, required=("status",)))
_CHANGES = {SnapshotStatus.CREATING: ("creating", "available", "error"), SnapshotStatus.DELETING: ("deleting", "error_deleting")}


@action("os-reset_status", path=SNAPSHOT_ACTIONS, policy=Rule("volume_extension:snapshot_admin_actions:reset_status", ADMIN),
        body={"3.0": _RESET})
def reset_status(req: Request, body: Body, snapshot_id: str) -> None:
    """Set the status that a snapshot shows. No snapshot of this cloud ever needs it.

    202 with no body. 400: there is no such status. 404: no such snapshot.
    """
    snapshot = find(req, snapshot_id)
    status = _status(body["os-reset_status"]["status"])
    snapshots.set_status(req.db, snapshot.id, status, among=[str(one) for one in SnapshotStatus])


def _status(text: str) -> SnapshotStatus:
    if text.lower() not in tuple(SnapshotStatus):
        raise errors.BadRequest(reason=f"Snapshot status: {text} is invalid, valid statuses are: {', '.join(SnapshotStatus)}.")
    return SnapshotStatus(text.lower())


@action("os-force_delete", path=SNAPSHOT_ACTIONS, policy=Rule("volume_extension:snapshot_admin_actions:force_delete", ADMIN),
        body={"3.0": schemas.keyed("os-force_delete", {})})
def force_delete(req: Request, body: Body, snapshot_id: str) -> None:
    """Delete a snapshot whatever its status.

    202 with no body. 400: it is being deleted, or a volume is being made from it. 404: no such snapshot.
    """
    begin_delete(req, find(req, snapshot_id), is_forced=True)


@action("os-update_snapshot_status", path=SNAPSHOT_ACTIONS, body={"3.0": _UPDATE},
        policy=Rule("snapshot_extension:snapshot_actions:update_snapshot_status", MEMBER))
def update_status(req: Request, body: Body, snapshot_id: str) -> None:
    """Report how a snapshot that a compute service makes gets on.

    202 with no body. 400: the status does not follow from the present one, or the progress is no percentage. 404: no such snapshot in the
    project.
    """
    params, snapshot = body["os-update_snapshot_status"], find(req, snapshot_id)
    followers = _CHANGES.get(SnapshotStatus(snapshot.status), ())
    if params["status"] not in followers:
        raise errors.BadRequest(
            reason=f"Provided snapshot status {params['status']} not allowed for snapshot with status {snapshot.status}.")
    progress = integer((params.get("progress") or "0%").removesuffix("%"), maximum=100)
    if progress is None:
        raise errors.BadRequest(reason=f"progress must be an integer percentage, not {params['progress']!r}")
    values = {"progress": progress} if params.get("progress") else {}
    if not snapshots.set_status(req.db, snapshot.id, SnapshotStatus(params["status"]), among=[snapshot.status], **values):
        raise errors.BadRequest(reason=f"Snapshot {snapshot.id} has changed meanwhile: try again.")


@action("os-unmanage", path=SNAPSHOT_ACTIONS, policy=Rule("snapshot_extension:snapshot_unmanage", ADMIN),
        body={"3.0": schemas.keyed("os-unmanage", {})})
def unmanage(req: Request, body: Body, snapshot_id: str) -> None:
    """Forget a snapshot and leave it in its pool.

    202 is never answered: a pool's worker removes what no row names, so that nothing can be left to others: 400. 404: no such snapshot.
    """
    snapshot = find(req, snapshot_id)
    raise errors.BadRequest(reason=f"Snapshot {snapshot.id} cannot be left in its pool: no backend of this cloud takes unmanaged snapshots.")
