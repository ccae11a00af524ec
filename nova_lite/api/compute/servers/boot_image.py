# SPDX-License-Identifier: Apache-2.0
"""The image that a server boots from, as far as create, rebuild and rescue need it."""

from __future__ import annotations

import dataclasses

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
    """The image's properties; empty: the caller can see no such image, which `find` says."""
    image = images.by_ids(req.db, [image_id]).get(image_id)
    return {} if image is None else dict(image.properties)


def find(req: Request, image_id: str) -> BootImage:
    """The image, if the caller may boot from it.

    :raises errors.BadRequest: the caller can see no such image, it is not active, or no guest boots from its format.
    """
    try:
        image = images.usable(req.db, image_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Can not find requested image: image {image_id} could not be found.") from None
    if image.disk_format not in BOOTABLE:
        raise errors.InvalidImage(
            id=image_id, reason=f"no guest of this cloud boots from disk format {image.disk_format}, only from {' and '.join(BOOTABLE)}")
    return BootImage(id=image.id, min_disk_gb=image.min_disk_gb, min_ram_mb=image.min_ram_mb, size=image.size or 0,
                     virtual_size=image.virtual_size or 0, properties=dict(image.properties))
