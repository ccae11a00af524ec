# SPDX-License-Identifier: Apache-2.0
"""The owner of the resource that a path names, for operators' policies that depend on it (`user_id:%(user_id)s`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.context import Context
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.transfers import VolumeTransfer
from nova_lite.db.volume.volumes import Volume

# Of an attachment no user is known: its project's.
_OWNED: dict[str, tuple[Any, Any]] = {
    "volume_id": (Volume, Volume.user_id), "snapshot_id": (VolumeSnapshot, VolumeSnapshot.user_id),
    "backup_id": (VolumeBackup, VolumeBackup.user_id), "transfer_id": (VolumeTransfer, VolumeTransfer.user_id),
    "attachment_id": (Attachment, sa.literal("")),
}


def owner(session: Session, ctxt: Context, variables: Mapping[str, str]) -> dict[str, str] | None:
    """`project_id` and `user_id` of the path's resource; None: the path names none that the caller may see."""
    name = next((name for name in variables if name in _OWNED), None)
    if name is None:
        return None
    table, user_id = _OWNED[name]
    query = sa.select(table.project_id, user_id.label("user_id")).where(table.id == variables[name])
    if ctxt.visible_project is not None:
        query = query.where(table.project_id == ctxt.visible_project)
    row = session.execute(query).one_or_none()
    return {"project_id": row.project_id, "user_id": row.user_id} if row else None
