# SPDX-License-Identifier: Apache-2.0
"""Actions of servers that wait for their volumes: to be made, exported to the server's host, or detached."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.conductor.engine.services import Services
from nova_lite.context import Context
from nova_lite.db.compute.actions import OPEN, SERVER, Action
from nova_lite.db.volume.attachments import Attachment


def servers_of(session: Session, volume_id: str) -> list[str]:
    """Ids of the servers that have the volume, or are to get it."""
    return list(session.scalars(sa.select(Attachment.server_id).where(
        Attachment.volume_id == volume_id, Attachment.server_id.is_not(None))))


def wake(session: Session, server_ids: Collection[str]) -> None:
    """What rests since it waits for the servers' volumes need rest no longer."""
    waiting = _waiting(session, server_ids)
    if waiting:
        session.execute(sa.update(Action).where(Action.id.in_(waiting)).values(wake_at=None).execution_options(synchronize_session=False))


def go_on(services: Services, ctxt: Context, server_ids: Collection[str]) -> None:
    """Have a conductor take them up now; a reconciler would a little later."""
    with services.database.reader() as session:
        waiting = _waiting(session, server_ids)
    for action_id in waiting:
        services.conductor.run(ctxt, action_id=action_id)


def _waiting(session: Session, server_ids: Collection[str]) -> list[int]:
    if not server_ids:
        return []
    return list(session.scalars(sa.select(Action.id).where(
        Action.resource_type == SERVER, Action.resource_id.in_(server_ids), Action.state.in_(OPEN), Action.awaiting_step.is_(None),
        Action.lease_owner.is_(None), Action.retries > 0)))
