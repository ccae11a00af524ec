# SPDX-License-Identifier: Apache-2.0
"""How long servers ran within a span of time: read from their rows, which outlive them for a while."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.servers import Server

# Rows of a long span are read by this many, so that memory stays bounded.
_BATCH = 1000
_COLUMNS = (Server.id, Server.name, Server.project_id, Server.flavor, Server.vm_state, Server.launched_at,
            Server.terminated_at)
Span = tuple[datetime.datetime, datetime.datetime]
Row = sa.Row[tuple[str, str, str, dict[str, Any], str, datetime.datetime | None, datetime.datetime | None]]


def running(
    session: Session, span: Span, *, project_id: str | None = None, marker: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Servers that ran at some time of the span, by project and id, one query however many.

    :raises errors.InvalidMarker: there was never a server of this id.
    """
    start, stop = span
    query = sa.select(*_COLUMNS).where(
        Server.launched_at < stop, sa.or_(Server.terminated_at.is_(None), Server.terminated_at > start),
    ).order_by(Server.project_id, Server.id).execution_options(yield_per=_BATCH)
    if project_id is not None:
        query = query.where(Server.project_id == project_id)
    if marker is not None:
        last = session.scalar(sa.select(Server.project_id).where(Server.id == marker))
        if last is None:
            raise errors.InvalidMarker(marker=marker)
        query = query.where(sa.or_(
            Server.project_id > last, sa.and_(Server.project_id == last, Server.id > marker)))
    if limit is not None:
        query = query.limit(limit)
    yield from session.execute(query)
