# SPDX-License-Identifier: Apache-2.0
"""Images created from servers: snapshots and backups, from their first row to rotation and clean-up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.image import images
from nova_lite.db.image.images import PRIVATE, QUEUED, SAVING, Image

# What the worker uploads, in any case: only the written parts of the disk.
DISK_FORMAT, CONTAINER_FORMAT = "qcow2", "bare"
SNAPSHOT, BACKUP = "snapshot", "backup"
# About an image's own bytes or its service, so not true of a copy (Nova leaves these out too).
_NOT_INHERITED = frozenset({
    "cache_in_nova", "bittorrent", "img_signature_hash_method", "img_signature", "img_signature_key_type",
    "img_signature_certificate_uuid", "os_glance_importing_to_stores", "os_glance_failed_import",
})


def make(  # what it is of, what it is to be, and whose
    session: Session, server: Server, *, name: str, kind: str, owner: str, user_id: str, properties: Mapping[str, str],
) -> Image:
    """A queued image for a copy of the server's root disk; it inherits the properties of the server's image that concern guests."""
    found = images.by_ids(session, [server.image_id]) if server.image_id else {}
    base = found.get(server.image_id or "")
    inherited = {key: value for key, value in server.image_properties.items() if key not in _NOT_INHERITED}
    own = {"image_type": kind, "instance_uuid": server.id, "user_id": user_id, "base_image_ref": server.image_id or "",
           "image_location": "snapshot", "image_state": "available", "owner_id": owner}
    image = Image(
        owner=owner, name=name, status=QUEUED, visibility=PRIVATE, disk_format=DISK_FORMAT,
        container_format=CONTAINER_FORMAT, min_disk_gb=max(server.flavor.root_gb, base.min_disk_gb if base else 0),
        min_ram_mb=base.min_ram_mb if base else 0, tags=[], properties={**inherited, **own, **properties})
    images.create(session, image)
    return image


def discard(session: Session, image_ids: Collection[str]) -> None:
    """Delete images, protected or not; an upload under way notices it and removes its bytes."""
    if image_ids:
        session.execute(sa.update(Image).where(Image.id.in_(image_ids), Image.deleted_at.is_(None)).values(
            status=images.DELETED, deleted_at=utcnow()).execution_options(synchronize_session=False))


# Without the inputs of the create, which are large and name no new image. Built once: every delete runs it.
_INPUTS = sa.select(Action.inputs).where(Action.resource_id == sa.bindparam("of"), Action.name != "create")


def discard_unfinished(session: Session, server_id: str) -> None:
    """Delete the unfinished images of the server's actions, which have been cancelled."""
    all_inputs = session.scalars(_INPUTS, {"of": server_id})
    image_ids = [str(inputs["image_id"]) for inputs in all_inputs if "image_id" in inputs]
    if image_ids:
        discard(session, list(session.scalars(
            sa.select(Image.id).where(Image.id.in_(image_ids), Image.status.in_((QUEUED, SAVING))))))


def rotate(session: Session, server_id: str, *, image_id: str, backup_type: str, keep: int) -> None:
    """Delete the server's oldest backups of this type and of the new one's owner beyond the newest `keep`.

    Protected ones stay.
    """
    owner = sa.select(Image.owner).where(Image.id == image_id).scalar_subquery()
    backups: Any = session.scalars(
        sa.select(Image.id).where(
            Image.deleted_at.is_(None), Image.protected.is_(False), Image.owner == owner,
            Image.properties["instance_uuid"].as_string() == server_id,
            Image.properties["image_type"].as_string() == BACKUP,
            Image.properties["backup_type"].as_string() == backup_type,
        ).order_by(Image.created_at.desc(), Image.id.desc()))
    discard(session, list(backups)[keep:])
