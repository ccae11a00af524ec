# SPDX-License-Identifier: Apache-2.0
"""Schemas of `POST /volumes` by microversion: unknown keys are ignored until 3.52, and refused from 3.53 on."""

from __future__ import annotations

from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.responses import Schema

_TEXT: Schema = {"type": ["string", "null"], "maxLength": 255}
_SIZE: Schema = {"anyOf": [{"type": "null"}, schemas.integer(1)]}
_IDS: Schema = {"anyOf": [schemas.UUID, {"type": "array", "items": schemas.UUID, "maxItems": 64}]}
_SCHEDULER_HINTS: Schema = {"anyOf": [{"type": "null"}, {
    "type": "object", "maxProperties": 16,
    "properties": {"same_host": _IDS, "different_host": _IDS, "local_to_instance": schemas.UUID_OR_NULL}}]}
_FIRST = {
    "name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION, "display_name": schemas.NAME_OR_NULL,
    "display_description": schemas.DESCRIPTION, "volume_type": _TEXT, "metadata": schemas.METADATA_OR_NULL,
    "snapshot_id": schemas.UUID_OR_NULL, "source_volid": schemas.UUID_OR_NULL, "consistencygroup_id": schemas.UUID_OR_NULL,
    "size": _SIZE, "availability_zone": _TEXT, "multiattach": {"anyOf": [{"type": "null"}, schemas.BOOLEAN]},
    "image_id": _TEXT, "imageRef": _TEXT,
}
_IN_GROUPS = {**_FIRST, "group_id": _TEXT}
_FROM_BACKUPS = {**_IN_GROUPS, "backup_id": schemas.UUID_OR_NULL}


def _body(properties: Schema, *, is_closed: bool = False) -> Schema:
    volume = schemas.closed(properties) if is_closed else schemas.opened(properties)
    return schemas.keyed("volume", volume, **{"OS-SCH-HNT:scheduler_hints": _SCHEDULER_HINTS})


CREATE = {"3.0": _body(_FIRST), "3.13": _body(_IN_GROUPS), "3.47": _body(_FROM_BACKUPS), "3.53": _body(_FROM_BACKUPS, is_closed=True)}
