# SPDX-License-Identifier: Apache-2.0
"""os-show, os-set and os-unset_image_metadata: what a volume keeps of the image that it was made from, which guests boot by."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.image import limits
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find, find_locked
from nova_lite.api.volume.common.metadata import ALL_ITEMS, limited
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule

_SET = schemas.keyed("os-set_image_metadata", schemas.closed({"metadata": schemas.METADATA}, required=("metadata",)))
_UNSET = schemas.keyed("os-unset_image_metadata", schemas.closed(
    {"key": {"type": "string", "minLength": 1, "maxLength": 255}}, required=("key",)))


@action("os-show_image_metadata", path=ACTIONS, policy=Rule("volume:get_volume_metadata", READER), status=200, response=ALL_ITEMS)
def show(req: Request, body: Body, volume_id: str) -> Body:
    """Show all items.

    200 with them. 404: no such volume in the project.
    """
    return {"metadata": find(req, volume_id).image_metadata}


@action("os-set_image_metadata", path=ACTIONS, policy=Rule("volume_extension:volume_image_metadata:set", MEMBER), status=200,
        body={"3.0": _SET}, response=ALL_ITEMS)
def set_items(req: Request, body: Body, volume_id: str) -> Body:
    """Add or replace items.

    200 with all items. 400: the body is invalid, a value is out of bounds, or there are too many. 404: no such volume in the project.
    413: names and values are too long together.
    """
    volume = find_locked(req, volume_id)
    items = limited({**volume.image_metadata, **body["os-set_image_metadata"]["metadata"]})
    limits.check_properties(items)
    volume.image_metadata = items
    return {"metadata": items}


@action("os-unset_image_metadata", path=ACTIONS, policy=Rule("volume_extension:volume_image_metadata:remove", MEMBER), status=200,
        body={"3.0": _UNSET})
def unset_item(req: Request, body: Body, volume_id: str) -> None:
    """Remove one item.

    200 with no body. 404: no such volume in the project, or it has no such item.
    """
    volume, key = find_locked(req, volume_id), body["os-unset_image_metadata"]["key"]
    if key not in volume.image_metadata:
        raise errors.NotFound(f"Volume {volume.id} has no image metadata item {key}.")
    volume.image_metadata = {name: value for name, value in volume.image_metadata.items() if name != key}
