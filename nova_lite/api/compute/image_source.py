# SPDX-License-Identifier: Apache-2.0
"""What a new server must know of its image: read from the built-in image face's rows, or asked of a Glance."""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db import images

_TIMEOUT_S = 10
# Fields of image v2 that are not free properties: https://docs.openstack.org/api-ref/image/v2/#show-image
_GLANCE_FIELDS = frozenset({
    "id", "name", "status", "visibility", "protected", "checksum", "owner", "size", "virtual_size", "created_at",
    "updated_at", "tags", "self", "file", "schema", "container_format", "disk_format", "min_disk", "min_ram",
    "os_hash_algo", "os_hash_value", "os_hidden", "direct_url", "locations", "stores",
})


@dataclasses.dataclass(frozen=True, kw_only=True)
class BootImage:
    """An image that can be booted from. Sizes in bytes, 0 when unknown; `properties` are the free ones."""

    id: str
    min_disk_gb: int
    min_ram_mb: int
    size: int
    virtual_size: int
    properties: dict[str, str]


def find(req: Request, image_id: str) -> BootImage:
    """The image, if the caller may boot from it now.

    :raises errors.BadRequest: there is none to see, or it is not active.
    :raises errors.Unavailable: the Glance of `[image] url` does not answer.
    """
    try:
        return _from_glance(req, image_id) if req.conf.image.url else _from_rows(req, image_id)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Can not find requested image: image {image_id} could not be found.") from None


def _from_rows(req: Request, image_id: str) -> BootImage:
    image = images.usable(req.db, image_id, project_id=req.ctxt.visible_project)
    return BootImage(id=image.id, min_disk_gb=image.min_disk_gb, min_ram_mb=image.min_ram_mb, size=image.size or 0,
                     virtual_size=image.virtual_size or 0, properties=dict(image.properties))


def _from_glance(req: Request, image_id: str) -> BootImage:
    url = f"{req.conf.image.url.rstrip('/')}/v2/images/{image_id}"
    asked = urllib.request.Request(url, headers={"X-Auth-Token": req.http.headers.get("X-Auth-Token", "")})
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as answer:
            shown: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refused:
        if refused.code in (403, 404):
            raise errors.NotFound(what="Image", id=image_id) from None
        raise errors.Unavailable(reason=f"The image service answered {refused.code}.") from refused
    except OSError as failed:
        raise errors.Unavailable(reason="The image service does not answer.") from failed
    if shown["status"] != "active":
        raise errors.InvalidImage(id=image_id, reason=f"it is not active but {shown['status']}")
    free = {name: str(value) for name, value in shown.items() if name not in _GLANCE_FIELDS and value is not None}
    return BootImage(id=shown["id"], min_disk_gb=shown.get("min_disk") or 0, min_ram_mb=shown.get("min_ram") or 0,
                     size=shown.get("size") or 0, virtual_size=shown.get("virtual_size") or 0, properties=free)
