# SPDX-License-Identifier: Apache-2.0
"""Metadata of one snapshot: key-value pairs of its owner."""

from __future__ import annotations

from nova_lite.api.volume.common import metadata
from nova_lite.api.volume.common.metadata import ALL_ITEMS, META, METADATA, ONE_ITEM, Items
from nova_lite.api.volume.snapshots.snapshots import find
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.volume import snapshots
from nova_lite.db.volume.snapshots import VolumeSnapshot

_GET = Rule("volume:get_snapshot_metadata", READER)
_UPDATE = Rule("volume:update_snapshot_metadata", MEMBER)


@route("GET", "/snapshots/{snapshot_id}/metadata", policy=_GET, response=ALL_ITEMS)
def index(req: Request, snapshot_id: str) -> Reply:
    """Show all items.

    200 with them. 404: no such snapshot in the project.
    """
    return metadata.reply("metadata", find(req, snapshot_id).metadata_items)


@route("POST", "/snapshots/{snapshot_id}/metadata", policy=_UPDATE, body={"3.0": METADATA}, response=ALL_ITEMS)
def create(req: Request, body: Body, snapshot_id: str) -> Reply:
    """Add or replace items.

    200 with all items. 400: the body is invalid, or there are too many. 404: no such snapshot in the project. 412: they have changed since
    the ETag in `If-Match`.
    """
    snapshot = _writable(req, snapshot_id)
    return _set(snapshot, {**snapshot.metadata_items, **body["metadata"]})


@route("PUT", "/snapshots/{snapshot_id}/metadata", policy=_UPDATE, body={"3.0": METADATA}, response=ALL_ITEMS)
def update_all(req: Request, body: Body, snapshot_id: str) -> Reply:
    """Replace all items.

    200 with all items. 400, 404 and 412 as for `create`.
    """
    return _set(_writable(req, snapshot_id), body["metadata"])


@route("GET", "/snapshots/{snapshot_id}/metadata/{key}", policy=_GET, response=ONE_ITEM)
def show(req: Request, snapshot_id: str, key: str) -> Reply:
    """Show one item.

    200 with it. 404: no such snapshot in the project, or it has no such item.
    """
    return metadata.reply("meta", metadata.item_of(find(req, snapshot_id).metadata_items, key))


@route("PUT", "/snapshots/{snapshot_id}/metadata/{key}", policy=_UPDATE, body={"3.0": META}, response=ONE_ITEM)
def update(req: Request, body: Body, snapshot_id: str, key: str) -> Reply:
    """Set one item.

    200 with it. 400: the body has another key, and as for `create`. 404 and 412 as there.
    """
    metadata.require_key(body["meta"], key)
    snapshot = _writable(req, snapshot_id)
    _set(snapshot, {**snapshot.metadata_items, **body["meta"]})
    return metadata.reply("meta", body["meta"])


@route("DELETE", "/snapshots/{snapshot_id}/metadata/{key}", policy=Rule("volume:delete_snapshot_metadata", MEMBER))
def delete(req: Request, snapshot_id: str, key: str) -> None:
    """Remove one item.

    200 with no body. 404: no such snapshot in the project, or it has no such item. 412: as for `create`.
    """
    snapshot = _writable(req, snapshot_id)
    metadata.item_of(snapshot.metadata_items, key)
    _set(snapshot, {name: value for name, value in snapshot.metadata_items.items() if name != key})


def _writable(req: Request, snapshot_id: str) -> VolumeSnapshot:
    """The snapshot, locked: what is written follows from what is read, and many write at once."""
    snapshot = snapshots.get_locked(req.db, snapshot_id, project_id=req.ctxt.visible_project)
    metadata.refuse_changed(req, snapshot.metadata_items)
    return snapshot


def _set(snapshot: VolumeSnapshot, items: Items) -> Reply:
    snapshot.metadata_items = metadata.limited(items)
    return metadata.reply("metadata", items)
