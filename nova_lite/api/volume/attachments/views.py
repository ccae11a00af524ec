# SPDX-License-Identifier: Apache-2.0
"""What responses show of an attachment. How to connect to the volume, which may hold a secret, is shown to those who connect."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

from nova_lite.api.volume.common.links import micros
from nova_lite.api.wsgi.request import Body
from nova_lite.api.wsgi.responses import OBJECT, STRING, STRING_OR_NULL, UUID, Field
from nova_lite.context import SERVICE, Context
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.runtime.tokens import Tokens


@dataclasses.dataclass(frozen=True)
class AttachmentView:
    """An attachment, and how to connect by it: {} for those who do not."""

    attachment: Attachment
    connection: Body = dataclasses.field(default_factory=dict)


BRIEF = (
    Field("id", lambda shown: shown.attachment.id, UUID),
    Field("status", lambda shown: shown.attachment.status, STRING),
    Field("instance", lambda shown: shown.attachment.server_id, STRING_OR_NULL),
    Field("volume_id", lambda shown: shown.attachment.volume_id, UUID),
)
DETAIL = (
    *BRIEF,
    Field("attached_at", lambda shown: _time(shown.attachment.attached_at), STRING),
    Field("detached_at", lambda _: "", STRING),
    Field("attach_mode", lambda shown: shown.attachment.mode, STRING_OR_NULL),
    Field("connection_info", lambda shown: shown.connection, OBJECT),
)


def _time(moment: datetime.datetime | None) -> str:
    """Cinder writes no time as an empty text."""
    return micros(moment) or ""


def may_connect(ctxt: Context) -> bool:
    """Whether the caller sees how to connect by attachments that exist: administrators and services."""
    return ctxt.is_admin or SERVICE in ctxt.roles


def nested_connection(tokens: Tokens, attachment: Attachment) -> dict[str, Any]:
    """`driver_volume_type` and its `data`; {}: the volume is not exported."""
    opened = tokens.decrypt_secret(attachment.connection_info) if attachment.connection_info else None
    found: dict[str, Any] = json.loads(opened) if opened else {}
    return found


def flat_connection(tokens: Tokens, attachment: Attachment, volume: Volume) -> Body:
    """As `nested_connection`, in the form that the attachments API has; {}: the volume is not exported."""
    nested = nested_connection(tokens, attachment)
    if not nested:
        return {}
    is_read_only = attachment.mode == "ro" or volume.is_read_only
    own = {"driver_volume_type": nested.get("driver_volume_type"), "attachment_id": attachment.id, "volume_id": volume.id,
           "encrypted": volume.encryption_key_id is not None, "qos_specs": None, "access_mode": "ro" if is_read_only else "rw",
           "cacheable": False, "enforce_multipath": bool((attachment.connector or {}).get("enforce_multipath"))}
    return {**nested.get("data", {}), **own}
