# SPDX-License-Identifier: Apache-2.0
"""What responses show of a snapshot: fields with the microversions that added them."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite.api.volume.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    view,
)
from nova_lite.db.volume.snapshots import VolumeSnapshot

BRIEF = (
    Field("id", lambda snapshot: snapshot.id, UUID),
    Field("name", lambda snapshot: snapshot.name, STRING_OR_NULL),
    Field("description", lambda snapshot: snapshot.description, STRING_OR_NULL),
    Field("status", lambda snapshot: snapshot.status, STRING),
    Field("size", lambda snapshot: snapshot.size_gb, INTEGER),
    Field("volume_id", lambda snapshot: snapshot.volume_id, UUID),
    Field("metadata", lambda snapshot: snapshot.metadata_items, STRINGS),
    Field("created_at", lambda snapshot: micros(snapshot.created_at), TIME),
    Field("updated_at", lambda snapshot: micros(snapshot.updated_at), TIME_OR_NULL),
    Field("user_id", lambda snapshot: snapshot.user_id, STRING, since="3.41"),
    Field("consumes_quota", lambda snapshot: snapshot.consumes_quota, BOOLEAN, since="3.65"),
)
DETAIL = (
    *BRIEF,
    Field("os-extended-snapshot-attributes:progress", lambda snapshot: f"{snapshot.progress}%", STRING),
    Field("os-extended-snapshot-attributes:project_id", lambda snapshot: snapshot.project_id, STRING),
    Field("group_snapshot_id", lambda snapshot: snapshot.group_snapshot_id, STRING_OR_NULL, since="3.14"),
)


def briefs(req: Request, snapshots: Sequence[VolumeSnapshot]) -> list[Body]:
    """Each without its project and progress."""
    return [view(BRIEF, snapshot, req) for snapshot in snapshots]


def details(req: Request, snapshots: Sequence[VolumeSnapshot]) -> list[Body]:
    """Each in full."""
    return [view(DETAIL, snapshot, req) for snapshot in snapshots]
