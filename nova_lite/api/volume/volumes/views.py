# SPDX-License-Identifier: Apache-2.0
"""What responses show of a volume: fields with the microversions that added them."""

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
    NULL,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Property,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.rules import ADMIN
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import attachments, volume_types
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus

_KEYS_SINCE = parse("3.64")


@dataclasses.dataclass(frozen=True)
class VolumeView:
    """A volume with what else of it is shown. `attachments`: those that a guest or host has; `is_admin`: of the caller."""

    volume: Volume
    links: list[Link]
    type_name: str | None = None
    attachments: Sequence[Attachment] = ()
    is_admin: bool = False


def _attachments(shown: VolumeView) -> list[Body]:
    """Hosts are shown to administrators only."""
    return [{"id": shown.volume.id, "attachment_id": one.id, "volume_id": shown.volume.id, "server_id": one.server_id,
             "host_name": one.host if shown.is_admin else None, "device": one.mountpoint, "attached_at": micros(one.attached_at)}
            for one in shown.attachments]


def _metadata(shown: VolumeView) -> dict[str, str]:
    """The user's items, and two of Cinder's own once they mean something."""
    items, volume = dict(shown.volume.metadata_items), shown.volume
    if shown.attachments:
        items["attached_mode"] = shown.attachments[0].mode or "rw"
    if shown.attachments or volume.is_read_only or "readonly" in volume.admin_metadata:
        items["readonly"] = str(volume.is_read_only)
    return items


_ATTACHMENT = closed(
    id=UUID, attachment_id=UUID, volume_id=UUID, server_id=STRING_OR_NULL, host_name=STRING_OR_NULL, device=STRING_OR_NULL,
    attached_at=TIME_OR_NULL)
BRIEF = (
    Field("id", lambda shown: shown.volume.id, UUID),
    Field("name", lambda shown: shown.volume.name, STRING_OR_NULL),
    Field("links", lambda shown: shown.links, LINKS),
)
# Of the volume that a request makes or changes.
MADE = (
    *BRIEF,
    Field("description", lambda shown: shown.volume.description, STRING_OR_NULL),
    Field("status", lambda shown: shown.volume.status, STRING),
    Field("size", lambda shown: shown.volume.size_gb, INTEGER),
    Field("availability_zone", lambda shown: shown.volume.availability_zone, STRING_OR_NULL),
    Field("created_at", lambda shown: micros(shown.volume.created_at), TIME),
    Field("updated_at", lambda shown: micros(shown.volume.updated_at), TIME_OR_NULL),
    Field("volume_type", lambda shown: shown.type_name, STRING_OR_NULL),
    Field("snapshot_id", lambda shown: shown.volume.snapshot_id, STRING_OR_NULL),
    Field("source_volid", lambda shown: shown.volume.source_volume_id, STRING_OR_NULL),
    Field("metadata", _metadata, STRINGS),
    Field("user_id", lambda shown: shown.volume.user_id, STRING),
    Field("bootable", lambda shown: str(shown.volume.bootable).lower(), {"enum": ["true", "false"]}),
    Field("encrypted", lambda shown: shown.volume.encryption_key_id is not None, BOOLEAN),
    Field("replication_status", lambda _: None, NULL),
    Field("consistencygroup_id", lambda _: None, NULL),
    Field("multiattach", lambda shown: shown.volume.multiattach, BOOLEAN),
    Field("attachments", _attachments, many(_ATTACHMENT)),
    Field("migration_status", lambda shown: shown.volume.migration_status, STRING_OR_NULL, role=ADMIN),
    Field("group_id", lambda shown: shown.volume.group_id, STRING_OR_NULL, since="3.13"),
    Field("provider_id", lambda _: None, NULL, since="3.21", role=ADMIN),
    Field("shared_targets", lambda _: False, BOOLEAN, since="3.48", until="3.68"),
    Field("shared_targets", lambda _: None, NULL, since="3.69"),
    Field("service_uuid", lambda _: None, NULL, since="3.48"),
    Field("cluster_name", lambda _: None, NULL, since="3.61", role=ADMIN),
    Field("volume_type_id", lambda shown: shown.volume.volume_type_id, STRING_OR_NULL, since="3.63"),
    Field("consumes_quota", lambda shown: shown.volume.consumes_quota, BOOLEAN, since="3.65"),
)
DETAIL = (
    *MADE,
    Field("os-vol-tenant-attr:tenant_id", lambda shown: shown.volume.project_id, STRING),
    Field("os-vol-host-attr:host", lambda shown: shown.volume.host, STRING_OR_NULL, role=ADMIN),
    Field("os-vol-mig-status-attr:migstat", lambda shown: shown.volume.migration_status, STRING_OR_NULL, role=ADMIN),
    Field("os-vol-mig-status-attr:name_id", lambda _: None, NULL, role=ADMIN),
)
_KEY = Property("encryption_key_id", STRING, since="3.64", is_optional=True)
MADE_RESPONSE = (*MADE, _KEY)
DETAIL_RESPONSE = (*DETAIL, _KEY, Property("volume_image_metadata", STRINGS, is_optional=True))


def briefs(req: Request, volumes: Sequence[Volume]) -> list[Body]:
    """Id, name and links of each."""
    return [view(BRIEF, VolumeView(volume, _links(req, volume)), req) for volume in volumes]


def details(req: Request, volumes: Sequence[Volume]) -> list[Body]:
    """Each in full; two queries for all."""
    return [_detail(req, shown) for shown in _views(req, volumes)]


def detail(req: Request, volume: Volume) -> Body:
    """One volume in full."""
    return details(req, [volume])[0]


def made(req: Request, volume: Volume) -> Body:
    """The volume that this request made or changed."""
    (shown,) = _views(req, [volume])
    return view(MADE, shown, req) | _key(req, volume)


def _detail(req: Request, shown: VolumeView) -> Body:
    of_image = {"volume_image_metadata": shown.volume.image_metadata} if shown.volume.image_metadata else {}
    return view(DETAIL, shown, req) | _key(req, shown.volume) | of_image


def _key(req: Request, volume: Volume) -> Body:
    """Only an encrypted volume has the field, as in Cinder."""
    return {"encryption_key_id": volume.encryption_key_id} if volume.encryption_key_id and req.version >= _KEYS_SINCE else {}


def _views(req: Request, volumes: Sequence[Volume]) -> list[VolumeView]:
    by_volume = attachments.of_volumes(req.db, [volume.id for volume in volumes])
    types = volume_types.by_ids(req.db, {volume.volume_type_id for volume in volumes if volume.volume_type_id})
    return [VolumeView(
        volume, _links(req, volume), types[volume.volume_type_id].name if volume.volume_type_id in types else None,
        [one for one in by_volume.get(volume.id, ()) if one.status == AttachmentStatus.ATTACHED], req.ctxt.is_admin)
        for volume in volumes]


def _links(req: Request, volume: Volume) -> list[Link]:
    return links.links(req, f"/volumes/{volume.id}")
