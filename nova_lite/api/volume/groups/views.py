# SPDX-License-Identifier: Apache-2.0
"""What responses show of groups and of their snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nova_lite.api.volume.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRING_OR_NULL, TIME, UUID, Field, Property, many, view
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import groups
from nova_lite.db.volume.groups import GroupSnapshot, VolumeGroup


class Shown(NamedTuple):
    """A group, or a group's snapshot, with the status that it shows."""

    row: Any  # VolumeGroup or GroupSnapshot
    status: str


BRIEF = (
    Field("id", lambda shown: shown.row.id, UUID),
    Field("name", lambda shown: shown.row.name, STRING_OR_NULL),
)
_COMMON = (
    *BRIEF,
    Field("status", lambda shown: shown.status, STRING),
    Field("description", lambda shown: shown.row.description, STRING_OR_NULL),
    Field("created_at", lambda shown: micros(shown.row.created_at), TIME),
    Field("project_id", lambda shown: shown.row.project_id, STRING, since="3.58"),
)
GROUP = (
    *_COMMON,
    Field("availability_zone", lambda shown: shown.row.availability_zone, STRING_OR_NULL),
    Field("group_type", lambda shown: shown.row.group_type_id, UUID),
    Field("volume_types", lambda shown: list(shown.row.volume_type_ids), many(UUID)),
    Field("group_snapshot_id", lambda shown: shown.row.group_snapshot_id, STRING_OR_NULL, since="3.14"),
    Field("source_group_id", lambda shown: shown.row.source_group_id, STRING_OR_NULL, since="3.14"),
    Field("replication_status", lambda _: "disabled", STRING, since="3.38"),
)
GROUP_RESPONSE = (*GROUP, Property("volumes", many(UUID), since="3.25", is_optional=True))
SNAPSHOT_MADE = (*BRIEF, Field("group_type_id", lambda shown: shown.row.group_type_id, UUID))
SNAPSHOT = (
    *_COMMON,
    Field("group_id", lambda shown: shown.row.group_id, UUID),
    Field("group_type_id", lambda shown: shown.row.group_type_id, UUID),
)
_VOLUMES_SINCE = parse("3.25")


def shown(req: Request, rows: Sequence[VolumeGroup] | Sequence[GroupSnapshot]) -> list[Shown]:
    """The rows with what they show; one query."""
    statuses = groups.statuses(req.db, list(rows))
    return [Shown(row, statuses[row.id]) for row in rows]


def group_documents(req: Request, rows: Sequence[VolumeGroup], *, has_volumes: bool) -> list[Body]:
    """The groups in full; `has_volumes`: with the ids of their volumes, from 3.25 on."""
    volumes = groups.volume_ids(req.db, [row.id for row in rows]) if has_volumes and req.version >= _VOLUMES_SINCE else None
    return [{**view(GROUP, one, req), **({} if volumes is None else {"volumes": volumes.get(one.row.id, [])})} for one in shown(req, rows)]
