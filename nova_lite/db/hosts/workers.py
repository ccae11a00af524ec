# SPDX-License-Identifier: Apache-2.0
"""Which worker of a name is the one that serves it: two would answer its requests in turns, and know half of the guests each."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db import clock
from nova_lite.db.base import Base, for_update
from nova_lite.db.hosts import hosts, observation


class Worker(Base):
    """The worker that was admitted last under the name `agent`; `id` is kept with its state, and outlives its process."""

    __tablename__ = "workers"

    binary: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(sa.String(36))
    admitted_at: Mapped[datetime.datetime]


def admit(session: Session, *, binary: str, agent: str, worker_id: str, down_time_s: float) -> None:
    """Give the name to the worker: it is the one that has it, or that one is down.

    :raises errors.NameInUse: another worker has it. :raises sqlalchemy.exc.IntegrityError: another is just being admitted.
    """
    known = session.scalars(for_update(sa.select(Worker).where(Worker.binary == binary, Worker.agent == agent))).one_or_none()
    if known is None:
        session.add(Worker(binary=binary, agent=agent, id=worker_id, admitted_at=clock.read(session)))
        session.flush()
        return
    if known.id != worker_id and _is_alive(session, known, down_time_s=down_time_s):
        raise errors.NameInUse(binary=binary, host=agent, known=known.id, worker=worker_id, seconds=f"{down_time_s:g}")
    known.id, known.admitted_at = worker_id, clock.read(session)


def _is_alive(session: Session, worker: Worker, *, down_time_s: float) -> bool:
    """Whether it has reported, or was admitted, within `down_time_s`, unless an operator has forced it down."""
    observed = observation.observed(session, down_time_s=down_time_s)
    rows = [service for service in hosts.services(session, binary=worker.binary) if service.agent == worker.agent]
    if rows and all(service.forced_down for service in rows):
        return False
    return observed.is_recent(worker.admitted_at, within_s=down_time_s) or any(
        hosts.is_alive(service, now=observed, down_time_s=down_time_s) for service in rows)
