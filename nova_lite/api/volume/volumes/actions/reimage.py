# SPDX-License-Identifier: Apache-2.0
"""os-reimage (3.68): a volume gets the content of an image; what it had is lost."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, pool_support, schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.volume.volumes import sources
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import attachments, volumes
from nova_lite.lifecycle.volumes import VolumeStatus
from nova_lite.rpc.volume import ContentSource

_RESERVED = Rule("volume:reimage_reserved", MEMBER)
EXTRA_RULES = (_RESERVED,)
_BODY = schemas.keyed("os-reimage", schemas.closed({"image_id": schemas.UUID, "reimage_reserved": schemas.BOOLEAN}, required=("image_id",)))


@action("os-reimage", path=ACTIONS, policy=Rule("volume:reimage", MEMBER), since="3.68", body={"3.68": _BODY})
def reimage(req: Request, body: Body, volume_id: str) -> None:
    """Give the volume the content of an image.

    202 with no body. 400: the image is not active or larger than the volume, or the volume is neither available nor in error, and not
    reserved with `reimage_reserved`. 403: it is reserved, and the policy forbids that. 404: no such volume in the project. 409: it has more
    than one attachment. 501: the volume's pool cannot.
    """
    params, volume = body["os-reimage"], find_locked(req, volume_id)
    if volume.status == VolumeStatus.RESERVED:
        req.policy.check(_RESERVED, req.ctxt)
        if not schemas.is_true(params.get("reimage_reserved")):
            allowed = f"{VolumeStatus.AVAILABLE}, {VolumeStatus.ERROR}"
            raise errors.WrongStatus(action="reimage", what="Volume", id=volume.id, status=volume.status, allowed=allowed)
    if len(attachments.of_volume(req.db, volume.id)) > 1:
        raise errors.Conflict(reason="Cannot re-image a volume which is attached to more than one server.")
    source = sources.of_image(req, params["image_id"])
    if source.kind is not ContentSource.IMAGE:
        raise errors.InvalidImage(id=params["image_id"], reason="it has no data of its own")
    if source.least_gb > volume.size_gb:
        raise errors.BadRequest(reason=f"Image {params['image_id']} needs {source.least_gb} GiB, and volume {volume.id} has {volume.size_gb}.")
    pool_support.require_reimage(req, volume.host)
    volumes.begin(req.db, volume, "reimage_volume")
    begin_action.record(req, begin_action.VOLUME, volume.id, "reimage_volume", {"image_id": params["image_id"]})
