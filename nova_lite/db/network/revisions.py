# SPDX-License-Identifier: Apache-2.0
"""The revisions of security groups, networks, their forwarding, and servers' ports: numbers that order what hosts are sent of each.

They are no columns of the groups and networks. On MariaDB each new port locks its group's and its network's row to check
its foreign keys, so that who sets a revision there would wait for requests under way, and deadlock with some.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base, for_update


class Revision(Base):
    """The revision of one group, network, network's forwarding or server's ports; without a row it is 0."""

    __tablename__ = "network_revisions"

    resource_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    revision: Mapped[int] = mapped_column(sa.BigInteger)


FORWARDING = "fdb-"


def of_forwarding(network_id: str) -> str:
    """The `resource_id` of where the network's ports are: `FORWARDING` and the network's id without hyphens, as SQL makes it too."""
    return FORWARDING + network_id.replace("-", "")


# Statements are built once: building one costs several times what running it does.
_TABLE: Any = Revision.__table__
_LOCK = for_update(sa.select(_TABLE.c.resource_id, _TABLE.c.revision).where(
    _TABLE.c.resource_id.in_(sa.bindparam("ids", expanding=True))).order_by(_TABLE.c.resource_id))
_SET = sa.update(_TABLE).where(_TABLE.c.resource_id == sa.bindparam("of")).values(revision=sa.bindparam("new_revision"))
_ADD = sa.insert(_TABLE).inline()


def advance(session: Session, resource_ids: Collection[str], *, to: int) -> dict[str, tuple[int, int]]:
    """Give each a new revision: `to`, or the next if it has that; id → the revisions before and after.

    The rows stay locked to the end of the transaction: of two who push one resource the later one reads what is later.
    """
    before = dict.fromkeys(sorted(resource_ids), 0)
    known = {resource_id: revision for resource_id, revision in session.execute(_LOCK, {"ids": list(before)})}
    before |= known
    after = {resource_id: max(revision + 1, to) for resource_id, revision in before.items()}
    changed = [{"of": resource_id, "new_revision": after[resource_id]} for resource_id in known]
    new = [{"resource_id": resource_id, "revision": after[resource_id]} for resource_id in before if resource_id not in known]
    if changed:
        session.connection().execute(_SET, changed)
    if new:
        session.connection().execute(_ADD, new)
    return {resource_id: (before[resource_id], after[resource_id]) for resource_id in before}


def delete(session: Session, resource_ids: Collection[str]) -> None:
    """The resources are deleted."""
    session.execute(sa.delete(Revision).where(Revision.resource_id.in_(resource_ids)))
