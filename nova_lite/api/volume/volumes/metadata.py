# SPDX-License-Identifier: Apache-2.0
"""Metadata of one volume: key-value pairs of its owner."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import metadata
from nova_lite.api.volume.common.find import find, find_locked
from nova_lite.api.volume.common.metadata import ALL_ITEMS, META, METADATA, ONE_ITEM, Items
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus

_GET = Rule("volume:get_volume_metadata", READER)
_UPDATE = Rule("volume:update_volume_metadata", MEMBER)
_CLOSED = (VolumeStatus.MAINTENANCE, VolumeStatus.UPLOADING)


@route("GET", "/volumes/{volume_id}/metadata", policy=_GET, response=ALL_ITEMS)
def index(req: Request, volume_id: str) -> Reply:
    """Show all items.

    200 with them. 404: no such volume in the project.
    """
    return metadata.reply("metadata", find(req, volume_id).metadata_items)


@route("POST", "/volumes/{volume_id}/metadata", policy=Rule("volume:create_volume_metadata", MEMBER), body={"3.0": METADATA},
       response=ALL_ITEMS)
def create(req: Request, body: Body, volume_id: str) -> Reply:
    """Add or replace items.

    200 with all items. 400: the body is invalid, there are too many, or the volume is in maintenance or is uploaded. 404: no such volume
    in the project. 412: they have changed since the ETag in `If-Match`.
    """
    volume = _writable(req, volume_id)
    return _set(volume, {**volume.metadata_items, **body["metadata"]})


@route("PUT", "/volumes/{volume_id}/metadata", policy=_UPDATE, body={"3.0": METADATA}, response=ALL_ITEMS)
def update_all(req: Request, body: Body, volume_id: str) -> Reply:
    """Replace all items.

    200 with all items. 400, 404 and 412 as for `create`.
    """
    return _set(_writable(req, volume_id), body["metadata"])


@route("GET", "/volumes/{volume_id}/metadata/{key}", policy=_GET, response=ONE_ITEM)
def show(req: Request, volume_id: str, key: str) -> Reply:
    """Show one item.

    200 with it. 404: no such volume in the project, or it has no such item.
    """
    return metadata.reply("meta", metadata.item_of(find(req, volume_id).metadata_items, key))


@route("PUT", "/volumes/{volume_id}/metadata/{key}", policy=_UPDATE, body={"3.0": META}, response=ONE_ITEM)
def update(req: Request, body: Body, volume_id: str, key: str) -> Reply:
    """Set one item.

    200 with it. 400: the body has another key, and as for `create`. 404 and 412 as there.
    """
    metadata.require_key(body["meta"], key)
    volume = _writable(req, volume_id)
    _set(volume, {**volume.metadata_items, **body["meta"]})
    return metadata.reply("meta", body["meta"])


@route("DELETE", "/volumes/{volume_id}/metadata/{key}", policy=Rule("volume:delete_volume_metadata", MEMBER))
def delete(req: Request, volume_id: str, key: str) -> None:
    """Remove one item.

    200 with no body. 400: the volume is in maintenance or is uploaded. 404: no such volume in the project, or it has no such item.
    412: as for `create`.
    """
    volume = _writable(req, volume_id)
    metadata.item_of(volume.metadata_items, key)
    _set(volume, {name: value for name, value in volume.metadata_items.items() if name != key})


def _writable(req: Request, volume_id: str) -> Volume:
    """The volume, locked: what is written follows from what is read, and many write at once."""
    volume = find_locked(req, volume_id)
    if volume.status in _CLOSED:
        raise errors.BadRequest(reason=f"Metadata of volume {volume.id} cannot be changed while its status is {volume.status}.")
    metadata.refuse_changed(req, volume.metadata_items)
    return volume


def _set(volume: Volume, items: Items) -> Reply:
    volume.metadata_items = metadata.limited(items)
    return metadata.reply("metadata", items)
