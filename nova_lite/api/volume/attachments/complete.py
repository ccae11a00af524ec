# SPDX-License-Identifier: Apache-2.0
"""os-complete (3.44): a client has connected its host to the volume."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.attachments import safety
from nova_lite.api.volume.attachments.attachments import find_attachment
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.volume import attachments
from nova_lite.lifecycle.volumes import AttachmentStatus

_COMPLETABLE = (AttachmentStatus.RESERVED, AttachmentStatus.ATTACHING, AttachmentStatus.ATTACHED)


@action("os-complete", path="/attachments/{attachment_id}/action", policy=Rule("volume:attachment_complete", MEMBER), status=204, since="3.44",
        body={"3.44": schemas.keyed("os-complete", {})})
def complete(req: Request, body: Body, attachment_id: str) -> None:
    """Say that the volume is attached: it is in use from now on.

    204 with no body. 404: no such attachment in the project. 409: it is one of this cloud's servers, or is being ended.
    """
    attachment = find_attachment(req, attachment_id)
    safety.refuse_servers(req, attachment)
    values = {} if attachment.attached_at else {"attached_at": utcnow()}
    if not attachments.set_status(req.db, attachment.id, AttachmentStatus.ATTACHED, among=_COMPLETABLE, **values):
        raise errors.Conflict(reason=f"Attachment {attachment.id} is {attachment.status}.")
    attachments.settle(req.db, str(attachment.volume_id))
