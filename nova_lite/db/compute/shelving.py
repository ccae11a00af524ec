# SPDX-License-Identifier: Apache-2.0
"""When servers were shelved, and the snapshot that unshelve builds them from."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import Vm

_UNTRACKED: dict[str, Any] = {"synchronize_session": False}


def record(session: Session, server_id: str, *, image_id: str | None, now: datetime.datetime | None) -> None:
    """Record that the server is shelved as this image; None: it is not shelved any more."""
    session.execute(sa.update(Server).where(Server.id == server_id).values(
        shelved_image_id=image_id, shelved_at=now).execution_options(**_UNTRACKED))


def image_of(session: Session, server_id: str) -> str | None:
    """The snapshot that the server is shelved as, also of one that is being deleted."""
    return session.scalar(_IMAGE_OF, {"of": server_id})


_IMAGE_OF = sa.select(Server.shelved_image_id).where(Server.id == sa.bindparam("of"))  # built once: every delete runs it


def on_hosts(session: Session, *, shelved_before: datetime.datetime, limit: int) -> list[str]:
    """Servers that were shelved before then, and are still on their hosts without an action."""
    return list(session.scalars(sa.select(Server.id).where(
        Server.vm_state == str(Vm.SHELVED), Server.task_state.is_(None), Server.deleted_at.is_(None),
        Server.shelved_at < shelved_before).limit(limit)))
