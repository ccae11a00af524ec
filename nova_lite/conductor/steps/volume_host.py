# SPDX-License-Identifier: Apache-2.0
"""What workflows on volumes share: the worker of a volume's pool, and the actions that others of its resources get."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import Run
from nova_lite.db.compute.servers import Server
from nova_lite.db.volume import volumes
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus


@dataclasses.dataclass(frozen=True)
class OnPool:
    """Part of the state of such workflows. `host`: the pool, `worker@backend#pool`, as events name it; empty: the volume has none."""

    host: str = ""


P = TypeVar("P", bound=OnPool)


def find_pool(services: Services, run: Run[P]) -> P:
    """A step of a workflow on a volume: the state with the pool that its row names."""
    with services.database.reader() as session:
        row = volumes.get(session, run.resource_id)
    return dataclasses.replace(run.state, host=row.host or "")


def worker(run: Run[P]) -> str | None:
    """The worker of the volume's pool; None: the volume has none."""
    return run.state.host.partition("@")[0] or None


def lock(session: Session, volume_id: str) -> Volume | None:
    """The volume with its row locked; None: it is gone."""
    try:
        return volumes.get_locked(session, volume_id)
    except errors.NotFound:
        return None


def guest_of(session: Session, volume_id: str, *, among: Collection[AttachmentStatus] = tuple(AttachmentStatus)) -> Attachment | None:
    """The attachment, in one of these statuses, by which a server of this cloud has the volume; None: none has.

    A client's own attachment names whatever server and host the client likes, and no worker hears of those.
    """
    known = sa.exists().where(Server.id == Attachment.server_id, Server.deleted_at.is_(None))
    return session.scalars(sa.select(Attachment).where(
        Attachment.volume_id == volume_id, Attachment.host.is_not(None), Attachment.status.in_([str(one) for one in among]), known,
    ).order_by(Attachment.created_at, Attachment.id).limit(1)).one_or_none()
