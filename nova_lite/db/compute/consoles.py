# SPDX-License-Identifier: Apache-2.0
"""Tokens that open consoles of servers: stored as hashes, valid for a limited time, deleted with the server."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base

MAX_OF_SERVER = 20
_UNTRACKED = {"synchronize_session": False}


class ConsoleToken(Base):
    """Permission to open one console. `token_hash` is `digest(token)`; `host` and `port`: where its worker accepts proxies.

    Port 0: the worker has not accepted the token yet.
    """

    __tablename__ = "console_tokens"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    server_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    type: Mapped[str] = mapped_column(sa.String(16))  # novnc | serial
    host: Mapped[str]
    port: Mapped[int]
    expires_at: Mapped[datetime.datetime] = mapped_column(index=True)


def digest(token: str) -> str:
    """The SHA-256 of the token in lower-case hex: all that is stored of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(session: Session, token: ConsoleToken, *, now: datetime.datetime) -> None:
    """Store the token; those that have expired by `now` are deleted, and of the server's the oldest beyond MAX_OF_SERVER.

    The caller holds the project's quota lock, so that none counts what another has not committed.
    """
    session.execute(sa.delete(ConsoleToken).where(ConsoleToken.expires_at <= now).execution_options(**_UNTRACKED))
    session.add(token)
    session.flush()
    own = sa.select(ConsoleToken.id).where(ConsoleToken.server_id == token.server_id).order_by(ConsoleToken.id.desc())
    surplus = list(session.scalars(own.offset(MAX_OF_SERVER).limit(1000)))
    if surplus:
        session.execute(sa.delete(ConsoleToken).where(ConsoleToken.id.in_(surplus)).execution_options(**_UNTRACKED))


def find(session: Session, token: str, *, now: datetime.datetime) -> ConsoleToken | None:
    """What the token opens; None: nothing, it is unknown, has expired, or is not accepted by its host yet."""
    token_hash = digest(token)
    row = session.scalars(sa.select(ConsoleToken).where(ConsoleToken.token_hash == token_hash)).one_or_none()
    # Looking up a hash by an index reveals nothing of the token; comparing takes the same time wherever they differ.
    if row is None or not hmac.compare_digest(row.token_hash, token_hash) or row.expires_at <= now or not row.port:
        return None
    return row


def accept(session: Session, token_hash: str, *, host: str, port: int) -> None:
    """The server's worker accepts the token there."""
    session.execute(
        sa.update(ConsoleToken).where(ConsoleToken.token_hash == token_hash).values(host=host, port=port)
        .execution_options(**_UNTRACKED))


def revoke(session: Session, token_hash: str) -> None:
    """The token opens nothing."""
    session.execute(sa.delete(ConsoleToken).where(ConsoleToken.token_hash == token_hash).execution_options(**_UNTRACKED))


def forget(session: Session, server_id: str) -> None:
    """The server's tokens open nothing any more."""
    session.flush()
    session.connection().execute(_FORGET, {"of": server_id})


_TOKENS: Any = ConsoleToken.__table__
_FORGET = sa.delete(_TOKENS).where(_TOKENS.c.server_id == sa.bindparam("of"))  # built once: every delete runs it
