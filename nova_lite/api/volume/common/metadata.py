# SPDX-License-Identifier: Apache-2.0
"""What the metadata routes of volumes and snapshots share: schemas, the items of a request, and the ETag by which clients notice changes."""

from __future__ import annotations

import hashlib
import json

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Reply, Request
from nova_lite.api.wsgi.responses import STRINGS, closed

METADATA = schemas.keyed("metadata", schemas.METADATA)
META = schemas.keyed("meta", {**schemas.METADATA, "minProperties": 1, "maxProperties": 1})
ALL_ITEMS, ONE_ITEM = closed(metadata=STRINGS), closed(meta=STRINGS)
Items = dict[str, str]


class _HasChanged(errors.NovaLiteError):
    http_status = 412
    message = "The metadata has changed since it was read: its ETag is {etag}."


def reply(key: str, items: Items) -> Reply:
    """`{key: items}` with their ETag."""
    return Reply({key: items}, headers={"ETag": _etag(items)})


def refuse_changed(req: Request, items: Items) -> None:
    """:raises errors.NovaLiteError: `If-Match` of the request is not the items' ETag (412)."""
    requested = req.http.headers.get("If-Match", "*")
    if "*" not in requested and _etag(items) not in requested:
        raise _HasChanged(etag=_etag(items))


def limited(items: Items) -> Items:
    """The items.

    :raises errors.BadRequest: they are more than one resource may have.
    """
    if len(items) > schemas.MAX_METADATA:
        raise errors.BadRequest(reason=f"Invalid input for metadata: at most {schemas.MAX_METADATA} items are allowed.")
    return items


def item_of(items: Items, key: str) -> Items:
    """:raises errors.NotFound: there is no such item."""
    if key not in items:
        raise errors.NotFound(f"Metadata item {key} could not be found.")
    return {key: items[key]}


def require_key(items: Items, key: str) -> None:
    """:raises errors.BadRequest: the body's one key is not that of the path."""
    if key not in items:
        raise errors.BadRequest(reason="Request body and URI mismatch")


def _etag(items: Items) -> str:
    return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()
