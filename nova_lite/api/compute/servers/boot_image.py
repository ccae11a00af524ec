# SPDX-License-Identifier: Apache-2.0
"""The image that a server boots from, as far as create, rebuild and rescue need it."""

from __future__ import annotations

import dataclasses
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.image import images

BOOTABLE = ("raw", "qcow2")  # as worker/images/image_format.py


@dataclasses.dataclass(frozen=True, kw_only=True)
class BootImage:
    """An image that can be booted from. Sizes in bytes, 0 when unknown; `properties`: those that the schema does not name."""

    id: str
    min_disk_gb: int
    min_ram_mb: int
    size: int
    virtual_size: int
    properties: dict[str, str]


def properties(req: Request, image_id: str) -> dict[str, str]:
    """The image's properties, if the caller may use it; it may have no data of its own.

    :raises errors.BadRequest: the caller can see no such image, or it is not active.
    """
    return dict(_usable(req, image_id).properties)


def find(req: Request, image_id: str) -> BootImage:
    """The image, if the caller may boot from it.

    :raises errors.BadRequest: the caller can see no such image, it is not active, or no guest boots from its format.
    """
    image = _usable(req, image_id)
    if image.disk_format not in BOOTABLE:
        raise errors.InvalidImage(
            id=image_id, reason=f"no guest of this cloud boots from disk format {image.disk_format}, only from {' and '.join(BOOTABLE)}")
    return BootImage(id=image.id, min_disk_gb=image.min_disk_gb, min_ram_mb=image.min_ram_mb, size=image.size or 0,
                     virtual_size=image.virtual_size or 0, properties=dict(image.properties))


def _usable(req: Request, image_id: str) -> Any:  # a row of images
    """:raises errors.BadRequest: the caller can see no such image, or it is not active."""
    try:
        return images.usable(req.db, image_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Can not find requested image: image {image_id} could not be found.") from None
