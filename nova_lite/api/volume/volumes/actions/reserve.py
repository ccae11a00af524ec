# SPDX-License-Identifier: Apache-2.0
"""os-reserve, os-unreserve, os-begin_detaching and os-roll_detaching: what clients note of an attach or detach of their own.

They change what the volume shows, never what is attached.
"""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import attachments, volumes
from nova_lite.lifecycle.volumes import AttachmentStatus, VolumeStatus


def _rule(name: str) -> Rule:
    return Rule(f"volume_extension:volume_actions:{name}", MEMBER)


@action("os-reserve", path=ACTIONS, policy=_rule("reserve"), body={"3.0": schemas.keyed("os-reserve", {})})
def reserve(req: Request, body: Body, volume_id: str) -> None:
    """Note that the volume is about to be attached.

    202 with no body. 400: it is not available, nor one of several servers in use. 404: no such volume in the project.
    """
    volume = find_locked(req, volume_id)
    volumes.refuse_moved(volume)
    allowed = (VolumeStatus.AVAILABLE, *((VolumeStatus.IN_USE,) if volume.multiattach else ()))
    if not volumes.set_status(req.db, volume, VolumeStatus.ATTACHING, among=allowed):
        raise errors.WrongStatus(action="reserve", what="Volume", id=volume.id, status=volume.status, allowed=", ".join(allowed))


@action("os-unreserve", path=ACTIONS, policy=_rule("unreserve"), body={"3.0": schemas.keyed("os-unreserve", {})})
def unreserve(req: Request, body: Body, volume_id: str) -> None:
    """Note that the volume will not be attached after all: it shows what its attachments say.

    202 with no body, also when it was not reserved. 404: no such volume in the project.
    """
    volume = find_locked(req, volume_id)
    if volume.status == VolumeStatus.ATTACHING:
        attachments.settle(req.db, volume.id)


@action("os-begin_detaching", path=ACTIONS, policy=_rule("begin_detaching"), body={"3.0": schemas.keyed("os-begin_detaching", {})})
def begin_detaching(req: Request, body: Body, volume_id: str) -> None:
    """Note that the volume is about to be detached.

    202 with no body. 400: it is not in use, or not attached. 404: no such volume in the project.
    """
    volume = find_locked(req, volume_id)
    is_attached = any(one.status == AttachmentStatus.ATTACHED for one in attachments.of_volume(req.db, volume.id))
    if not is_attached or not volumes.set_status(req.db, volume, VolumeStatus.DETACHING, among=(VolumeStatus.IN_USE,)):
        raise errors.BadRequest(
            reason="Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.")


@action("os-roll_detaching", path=ACTIONS, policy=_rule("roll_detaching"), body={"3.0": schemas.keyed("os-roll_detaching", {})})
def roll_detaching(req: Request, body: Body, volume_id: str) -> None:
    """Note that the volume will not be detached after all: it shows what its attachments say.

    202 with no body, also when it was not being detached. 404: no such volume in the project.
    """
    volume = find_locked(req, volume_id)
    if volume.status == VolumeStatus.DETACHING:
        attachments.settle(req.db, volume.id)
