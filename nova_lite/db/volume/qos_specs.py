# SPDX-License-Identifier: Apache-2.0
"""QoS specs: limits of reads and writes that volume types refer to, and the queries on them."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id


class QosSpecs(Timestamps, Base):
    """One set of specs. `consumer`: who keeps to them, front-end (the hypervisor), back-end (the pool) or both."""

    __tablename__ = "qos_specs"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    consumer: Mapped[str] = mapped_column(sa.String(16))
    specs: Mapped[dict[str, str]] = mapped_column(default=dict)


def find(session: Session) -> list[QosSpecs]:
    """All of them, newest first: operators make them, and a cloud has few."""
    return list(session.scalars(sa.select(QosSpecs).order_by(QosSpecs.created_at.desc(), QosSpecs.id.desc())))


def get(session: Session, specs_id: str, *, is_locked: bool = False) -> QosSpecs:
    """`is_locked`: others cannot change them until the transaction ends.

    :raises errors.NotFound: there are none.
    """
    query = sa.select(QosSpecs).where(QosSpecs.id == specs_id)
    found = session.scalars(for_update(query) if is_locked else query).one_or_none()
    if found is None:
        raise errors.NotFound(f"No such qos_specs with specs ID {specs_id}.", what="qos_specs", id=specs_id)
    return found


def add(session: Session, *, name: str, consumer: str, specs: Mapping[str, str]) -> QosSpecs:
    """:raises errors.Conflict: the name is taken."""
    made = QosSpecs(name=name, consumer=consumer, specs=dict(specs))
    try:
        with session.begin_nested():  # the unique name decides the race between two API workers
            session.add(made)
    except IntegrityError:
        raise errors.Conflict(reason=f"QoS specs {name} already exist.") from None
    return made


def remove(session: Session, specs: QosSpecs) -> None:
    session.delete(specs)
