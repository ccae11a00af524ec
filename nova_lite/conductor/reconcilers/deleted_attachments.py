# SPDX-License-Identifier: Apache-2.0
"""Ends attachments of deleted servers that their storage worker was not there to end."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.steps import volume_connections
from nova_lite.context import system_context
from nova_lite.db import clock
from nova_lite.db.compute.actions import OPEN, Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.volume.attachments import Attachment

LOG = logging.getLogger(__name__)
# A delete that is under way ends its attachments itself.
_SETTLED = datetime.timedelta(seconds=20)
_LIMIT = 100


def end(services: Services) -> None:
    """Begin to end the attachments whose server is deleted, with no action open that does."""
    ctxt = system_context()
    with services.database.writer() as session:
        busy = sa.exists().where(Action.resource_id == Attachment.id, Action.state.in_(OPEN))
        left = session.scalars(sa.select(Attachment).join(Server, Server.id == Attachment.server_id).where(
            Server.deleted_at < clock.read(session) - _SETTLED, ~busy).limit(_LIMIT)).all()
        begun = [volume_connections.begin_end(session, ctxt, attachment) for attachment in left]
    for action_id in begun:
        LOG.warning("an attachment of a deleted server was left over: action %s ends it", action_id)
        services.conductor.run(ctxt, action_id=action_id)
