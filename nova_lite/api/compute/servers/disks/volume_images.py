# SPDX-License-Identifier: Apache-2.0
"""createImage of a server that boots from a volume: snapshots of its volumes, and an image without bytes that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.compute import actions, server_images
from nova_lite.db.compute.servers import Server
from nova_lite.db.image import images
from nova_lite.db.volume import attachments, quota, snapshots, volume_types, volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus

ALLOWED = Rule("os_compute_api:servers:create_image:allow_volume_backed", MEMBER)


def create(req: Request, server: Server, *, name: str, metadata: Mapping[str, str]) -> str:
    """Begin a snapshot of each volume, and write the image; its id.

    :raises errors.WrongState: the server's state forbids it. :raises errors.OverQuota: block storage allows no more snapshots.
    """
    require(req, ALLOWED)
    begin_action.refuse_state(server, "create_image")
    mapping = []
    for attachment in attachments.of_server(req.db, server.id):
        if attachment.volume_id is not None and attachment.status == AttachmentStatus.ATTACHED:
            volume = volumes.get_locked(req.db, attachment.volume_id)
            mapping.append(_entry(attachment, volume, _snapshot(req, server, volume, name=f"snapshot for {name}")))
    image = server_images.make(
        req.db, server, name=name, kind=server_images.SNAPSHOT, owner=req.ctxt.project_id, user_id=req.ctxt.user_id,
        properties={**metadata, "bdm_v2": "True", "root_device_name": str(server.root_device_name),
                    "block_device_mapping": json.dumps(mapping)})
    image.status, image.size, image.min_disk_gb = images.ACTIVE, 0, 0
    actions.record(req.db, server_id=server.id, name="create_image", request_id=req.ctxt.request_id, user_id=req.ctxt.user_id,
                   project_id=req.ctxt.project_id, state=actions.DONE)
    req.db.flush()
    return image.id


def _snapshot(req: Request, server: Server, volume: Volume, *, name: str) -> VolumeSnapshot:
    kind = volume_types.by_ids(req.db, {volume.volume_type_id} if volume.volume_type_id else set()).get(str(volume.volume_type_id))
    try:
        quota.check(req.db, req.conf, server.project_id, quota.for_snapshot(req.conf, kind.name if kind else None, volume.size_gb))
    except errors.OverVolumeQuota as over:
        raise errors.OverQuota(over.text) from None
    snapshot_id = new_id()
    made = VolumeSnapshot(
        id=snapshot_id, volume_id=volume.id, project_id=server.project_id, user_id=req.ctxt.user_id, name=name, size_gb=volume.size_gb,
        provider_name=snapshots.provider_name(snapshot_id), volume_type_id=volume.volume_type_id,
        encryption_key_id=volume.encryption_key_id)
    req.db.add(made)
    req.db.flush()
    begun = actions.begin(req.db, (actions.SNAPSHOT, made.id), "create_snapshot",
                          actions.Requester(req.ctxt.request_id, req.ctxt.user_id, req.ctxt.project_id))
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=begun.id)
    return made


def _entry(attachment: Attachment, volume: Volume, snapshot: VolumeSnapshot) -> dict[str, Any]:
    """One disk of the image, as Nova writes it."""
    return {
        "source_type": "snapshot", "destination_type": "volume", "snapshot_id": snapshot.id, "volume_size": volume.size_gb,
        "boot_index": attachment.boot_index, "device_name": attachment.mountpoint, "device_type": attachment.device_type or "disk",
        "disk_bus": attachment.disk_bus, "delete_on_termination": attachment.delete_on_termination, "tag": attachment.tag,
        "guest_format": None, "image_id": None, "volume_id": None, "volume_type": None, "no_device": None,
    }
