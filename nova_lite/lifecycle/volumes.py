# SPDX-License-Identifier: Apache-2.0
"""The state machines of volumes, snapshots, backups and attachments as data; the words are Cinder's, as clients know them.

Only db/volume assigns a `status`, and only by these rows.
"""

from __future__ import annotations

import dataclasses
from enum import StrEnum


class VolumeStatus(StrEnum):
    """What a volume shows as `status`."""

    CREATING = "creating"
    DOWNLOADING = "downloading"  # an image is copied to it
    AVAILABLE = "available"
    RESERVED = "reserved"  # for a server, not yet connected
    ATTACHING = "attaching"
    IN_USE = "in-use"
    DETACHING = "detaching"
    MAINTENANCE = "maintenance"
    DELETING = "deleting"
    EXTENDING = "extending"
    UPLOADING = "uploading"
    BACKING_UP = "backing-up"
    RESTORING = "restoring-backup"
    RETYPING = "retyping"
    REVERTING = "reverting"
    AWAITING_TRANSFER = "awaiting-transfer"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"
    ERROR_EXTENDING = "error_extending"
    ERROR_RESTORING = "error_restoring"


class SnapshotStatus(StrEnum):
    CREATING = "creating"
    AVAILABLE = "available"
    DELETING = "deleting"
    BACKING_UP = "backing-up"
    RESTORING = "restoring"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"


class BackupStatus(StrEnum):
    CREATING = "creating"
    AVAILABLE = "available"
    RESTORING = "restoring"
    DELETING = "deleting"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"


class AttachmentStatus(StrEnum):
    """RESERVED has no connector yet; ATTACHING has, and is exported; ATTACHED: the guest has it."""

    RESERVED = "reserved"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"
    ERROR_ATTACHING = "error_attaching"
    ERROR_DETACHING = "error_detaching"


@dataclasses.dataclass(frozen=True)
class VolumeAction:
    """One row: `allowed_in` statuses, `shows` meanwhile. When it ends, the volume has `leads_to`, or its status before (None)."""

    name: str
    allowed_in: frozenset[VolumeStatus]
    shows: VolumeStatus
    leads_to: VolumeStatus | None
    fails_to: VolumeStatus | None = None  # None: the status before


_V = VolumeStatus
VOLUME_ACTIONS: dict[str, VolumeAction] = {row.name: row for row in (
    VolumeAction("create_volume", frozenset(), _V.CREATING, _V.AVAILABLE, _V.ERROR),
    VolumeAction("delete_volume", frozenset({_V.AVAILABLE, _V.ERROR, _V.ERROR_RESTORING, _V.ERROR_EXTENDING, _V.ERROR_DELETING}),
                 _V.DELETING, _V.DELETING, _V.ERROR_DELETING),
    VolumeAction("force_delete_volume", frozenset(_V) - {_V.DELETING}, _V.DELETING, _V.DELETING, _V.ERROR_DELETING),
    VolumeAction("extend_volume", frozenset({_V.AVAILABLE}), _V.EXTENDING, None),
    VolumeAction("extend_attached_volume", frozenset({_V.IN_USE}), _V.EXTENDING, None),
    VolumeAction("upload_volume", frozenset({_V.AVAILABLE, _V.IN_USE}), _V.UPLOADING, None),
    VolumeAction("backup_volume", frozenset({_V.AVAILABLE, _V.IN_USE}), _V.BACKING_UP, None),
    VolumeAction("restore_volume", frozenset({_V.AVAILABLE}), _V.RESTORING, _V.AVAILABLE, _V.ERROR_RESTORING),
    VolumeAction("retype_volume", frozenset({_V.AVAILABLE, _V.IN_USE}), _V.RETYPING, None),
    VolumeAction("revert_volume", frozenset({_V.AVAILABLE}), _V.REVERTING, _V.AVAILABLE, _V.ERROR),
    VolumeAction("reimage_volume", frozenset({_V.AVAILABLE, _V.ERROR, _V.RESERVED}), _V.DOWNLOADING, None, _V.ERROR),
)}
