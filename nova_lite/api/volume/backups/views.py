# SPDX-License-Identifier: Apache-2.0
"""What responses show of a backup: fields with the microversions that added them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nova_lite.api.volume.common import links
from nova_lite.api.volume.common.links import Link, micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    LINKS,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Property,
    view,
)
from nova_lite.api.wsgi.rules import ADMIN
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import backups
from nova_lite.db.volume.backups import VolumeBackup

_KEYS_SINCE = parse("3.64")


@dataclasses.dataclass(frozen=True)
class BackupView:
    """A backup with its links; `has_dependents`: others add to it."""

    backup: VolumeBackup
    links: list[Link]
    has_dependents: bool = False


BRIEF = (
    Field("id", lambda shown: shown.backup.id, UUID),
    Field("name", lambda shown: shown.backup.name, STRING_OR_NULL),
    Field("links", lambda shown: shown.links, LINKS),
)
DETAIL = (
    *BRIEF,
    Field("status", lambda shown: shown.backup.status, STRING),
    Field("size", lambda shown: shown.backup.size_gb, INTEGER),
    Field("object_count", lambda shown: shown.backup.object_count, INTEGER),
    Field("availability_zone", lambda shown: shown.backup.availability_zone, STRING_OR_NULL),
    Field("container", lambda shown: shown.backup.container, STRING_OR_NULL),
    Field("created_at", lambda shown: micros(shown.backup.created_at), TIME),
    Field("updated_at", lambda shown: micros(shown.backup.updated_at), TIME_OR_NULL),
    Field("description", lambda shown: shown.backup.description, STRING_OR_NULL),
    Field("fail_reason", lambda shown: shown.backup.fail_reason, STRING_OR_NULL),
    Field("volume_id", lambda shown: shown.backup.volume_id, UUID),
    Field("is_incremental", lambda shown: shown.backup.parent_id is not None, BOOLEAN),
    Field("has_dependent_backups", lambda shown: shown.has_dependents, BOOLEAN),
    Field("snapshot_id", lambda shown: shown.backup.snapshot_id, STRING_OR_NULL),
    Field("data_timestamp", lambda shown: micros(shown.backup.data_timestamp), TIME_OR_NULL),
    Field("os-backup-project-attr:project_id", lambda shown: shown.backup.project_id, STRING, since="3.18", role=ADMIN),
    Field("metadata", lambda shown: shown.backup.metadata_items, STRINGS, since="3.43"),
    Field("user_id", lambda shown: shown.backup.user_id, STRING, since="3.56", role=ADMIN),
)
DETAIL_RESPONSE = (*DETAIL, Property("encryption_key_id", STRING, since="3.64", is_optional=True))


def brief(req: Request, backup: VolumeBackup) -> Body:
    """Id, name and links."""
    return view(BRIEF, _view(req, backup), req)


def details(req: Request, rows: Sequence[VolumeBackup]) -> list[Body]:
    """Each in full; one query for all."""
    parents = backups.with_dependents(req.db, [row.id for row in rows])
    return [_detail(req, dataclasses.replace(_view(req, row), has_dependents=row.id in parents)) for row in rows]


def _detail(req: Request, shown: BackupView) -> Body:
    key = shown.backup.encryption_key_id
    return view(DETAIL, shown, req) | ({"encryption_key_id": key} if key and req.version >= _KEYS_SINCE else {})


def _view(req: Request, backup: VolumeBackup) -> BackupView:
    return BackupView(backup, links.links(req, f"/backups/{backup.id}"))
