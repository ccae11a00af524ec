# SPDX-License-Identifier: Apache-2.0
"""Tags of network resources: a list in the row of each, which is locked for a change, so that what is added at once is all kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session

from nova_lite import errors
from nova_lite.db.base import for_update

MAX_TAGS = 50  # of one resource, as in Neutron


class Tagged:
    """`tags` None: none."""

    tags: Mapped[list[str] | None]


def lock(session: Session, row: Tagged) -> list[str]:
    """The tags of the row, which no other transaction changes before this one ends.

    :raises errors.NotFound: it was deleted meanwhile.
    """
    model: Any = type(row)  # its columns
    row_id = sa.inspect(row).identity[0]
    if session.scalars(for_update(sa.select(model).where(model.id == row_id))).one_or_none() is None:
        raise errors.NotFound(what=model.__name__, id=row_id)
    return list(row.tags or [])


def replace(session: Session, row: Tagged, tags: Sequence[str]) -> None:
    """Give the row, which is locked, these tags and no others.

    :raises errors.BadRequest: they are too many.
    """
    if len(tags) > MAX_TAGS:
        raise errors.BadRequest(reason=f"Invalid input for tags. Reason: a resource has at most {MAX_TAGS} tags.")
    row.tags = sorted(tags)
    session.flush()
