# SPDX-License-Identifier: Apache-2.0
"""What messages of block storage say to users: the numbers are Cinder's, which clients know as parts of `event_id`."""

from __future__ import annotations

from enum import Enum


class _Code(Enum):
    """A number of three digits, and its words."""

    @property
    def code(self) -> str:
        return str(self.value[0])

    @property
    def text(self) -> str:
        return str(self.value[1])


class MessageAction(_Code):
    """What was tried."""

    SCHEDULE = "001", "find a pool for the volume"
    ATTACH = "002", "attach the volume"
    UPLOAD = "003", "upload the volume to the image service"
    UPDATE_ATTACHMENT = "004", "update the attachment"
    COPY_IMAGE = "005", "copy the image to the volume"
    EXTEND = "007", "extend the volume"
    CREATE = "008", "create the volume"
    CREATE_SNAPSHOT = "009", "create the snapshot"
    DELETE_SNAPSHOT = "010", "delete the snapshot"
    CREATE_BACKUP = "013", "create the backup"
    DELETE_BACKUP = "014", "delete the backup"
    RESTORE_BACKUP = "015", "restore the backup"
    REIMAGE = "016", "write the image to the volume"


class MessageDetail(_Code):
    """Why it failed."""

    UNKNOWN = "001", "an unknown error occurred"
    NO_BACKEND = "003", "no pool fits the volume"
    MODE = "005", "the volume cannot be attached in this mode"
    QUOTA = "006", "the project's quota does not allow it"
    NO_SPACE_FOR_IMAGE = "007", "there is not enough space to convert the image"
    SNAPSHOT_BUSY = "015", "the snapshot is busy"
    BACKUP_SERVICE_DOWN = "018", "the backup service is down"
    ATTACH_FAILED = "021", "the volume could not be attached"
    DETACH_FAILED = "022", "the volume could not be detached"


class MessageSubject(Enum):
    """What the message is about; the value is its `resource_type`."""

    VOLUME = "VOLUME"
    SNAPSHOT = "VOLUME_SNAPSHOT"
    BACKUP = "VOLUME_BACKUP"


def event_id(subject: MessageSubject, action: MessageAction, detail: MessageDetail) -> str:
    """`VOLUME_VOLUME_001_003` and the like."""
    return f"VOLUME_{subject.value}_{action.code}_{detail.code}"
