# SPDX-License-Identifier: Apache-2.0
"""How long servers existed within a span of time, from their rows, which are kept for a while after a delete."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.compute.servers import Server
from nova_lite.values.flavor import Flavor

# Rows of a long span are read by this many, so that memory stays bounded. Not by a cursor in the database: readers have no
# transaction that PostgreSQL could keep one in.
BATCH = 1000
_COLUMNS = (Server.id, Server.name, Server.project_id, Server.flavor, Server.vm_state, Server.launched_at,
            Server.terminated_at)
Span = tuple[datetime.datetime, datetime.datetime]
Row = sa.Row[str, str, str, Flavor, str, datetime.datetime | None, datetime.datetime | None]


def running(
    session: Session, span: Span, *, project_id: str | None = None, marker: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Servers that ran at some time of the span, by project and id; one query for each `BATCH` of them.

    :raises errors.InvalidMarker: there was never a server of this id.
    """
    start, stop = span
    query = sa.select(*_COLUMNS).where(
        Server.launched_at < stop, sa.or_(Server.terminated_at.is_(None), Server.terminated_at > start),
    ).order_by(Server.project_id, Server.id)
    if project_id is not None:
        query = query.where(Server.project_id == project_id)
    after = None if marker is None else _place_of(session, marker)
    left = limit
    while left is None or left > 0:
        most = BATCH if left is None else min(left, BATCH)
        rows = session.execute((query if after is None else query.where(_is_after(*after))).limit(most)).all()
        yield from rows
        if len(rows) < most:
            return
        after = (rows[-1].project_id, rows[-1].id)
        left = None if left is None else left - most


def _place_of(session: Session, server_id: str) -> tuple[str, str]:
    project_id = session.scalar(sa.select(Server.project_id).where(Server.id == server_id))
    if project_id is None:
        raise errors.InvalidMarker(marker=server_id)
    return project_id, server_id


def _is_after(project_id: str, server_id: str) -> sa.ColumnElement[bool]:
    return sa.or_(Server.project_id > project_id, sa.and_(Server.project_id == project_id, Server.id > server_id))
