# SPDX-License-Identifier: Apache-2.0
"""Which conductors are running: a lease of each, by the database's clock. They divide the reconcilers' work by it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db import clock
from nova_lite.db.base import Base


class ConductorLease(Base):
    """One running conductor; it has a share of the work from `active_from` until `lease_until`."""

    __tablename__ = "conductor_leases"

    owner: Mapped[str] = mapped_column(primary_key=True)
    active_from: Mapped[datetime.datetime]
    lease_until: Mapped[datetime.datetime]


@dataclasses.dataclass(frozen=True)
class Lease:
    """A row, in seconds from the moment at which it was read."""

    owner: str
    active_in_s: float
    ends_in_s: float

    def is_live(self, *, after_s: float = 0.0) -> bool:
        return self.ends_in_s > after_s

    def is_active(self, *, after_s: float) -> bool:
        """Whether it has a share of the work so many seconds after it was read."""
        return self.active_in_s <= after_s < self.ends_in_s


# Built once: building a statement costs several times what running it does.
_LEASES: Any = ConductorLease.__table__
_RENEW = sa.update(_LEASES).where(
    _LEASES.c.owner == sa.bindparam("of"), _LEASES.c.lease_until > clock.after(sa.bindparam("at_least_s", type_=sa.Float)),
).values(lease_until=clock.after(sa.bindparam("lease_s", type_=sa.Float)))
_ALL = sa.select(_LEASES.c.owner, _LEASES.c.active_from, _LEASES.c.lease_until, clock.now().label("now"))


def renew(session: Session, owner: str, *, lease_s: float, at_least_s: float) -> bool:
    """Keep the lease; False: there is none, or less than `at_least_s` of it is left: another may act as if it had ended."""
    return bool(session.connection().execute(_RENEW, {"of": owner, "lease_s": lease_s, "at_least_s": at_least_s}).rowcount)


def begin(session: Session, owner: str, *, lease_s: float) -> None:
    """Begin a lease, active only after all others have had the time to notice it; remove those that have ended."""
    session.execute(sa.delete(ConductorLease).where(
        sa.or_(ConductorLease.owner == owner, ConductorLease.lease_until < clock.now(), ConductorLease.lease_until > clock.after(2 * lease_s))))
    session.execute(sa.insert(ConductorLease).values(owner=owner, active_from=clock.after(lease_s), lease_until=clock.after(lease_s)))


def activate(session: Session, owner: str) -> None:
    """The lease has a share of the work now: there is no other."""
    session.execute(sa.update(ConductorLease).where(ConductorLease.owner == owner).values(
        active_from=clock.now()).execution_options(synchronize_session=False))


def end(session: Session, owners: Collection[str]) -> int:
    """End the leases of conductors that stop, or are known to be dead; how many there were."""
    ended = session.execute(sa.delete(ConductorLease).where(ConductorLease.owner.in_(owners)))
    return int(ended.rowcount)  # type: ignore[attr-defined]


def read(session: Session, *, lease_s: float) -> list[Lease]:
    """All leases. A moment further ahead than any that is written is from before the clock was set back."""
    found = []
    for owner, active_from, until, now in session.connection().execute(_ALL):
        active_in_s, ends_in_s = (active_from - now).total_seconds(), (until - now).total_seconds()
        if ends_in_s <= 2 * lease_s:
            found.append(Lease(owner, active_in_s if active_in_s <= 2 * lease_s else 0.0, ends_in_s))
    return found
