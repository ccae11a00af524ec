# SPDX-License-Identifier: Apache-2.0
"""Ports that come to a server, and leave it, while it lives."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.base import utcnow
from nova_lite.db.network.ports import Port, PortSecurityGroup


def next_position(session: Session, server_id: str) -> int:
    """Behind all NICs that the server has."""
    last = session.scalar(sa.select(sa.func.max(Port.position)).where(Port.device_id == server_id))
    return 0 if last is None else last + 1


def place(session: Session, port: Port, *, host: str | None, tag: str | None) -> None:
    """The port, just given to a server, is to be plugged on the server's host."""
    session.execute(sa.update(Port).where(Port.id == port.id).values(host=host, tag=tag, status="DOWN"))


def plug_one(session: Session, server_id: str, port_id: str) -> None:
    """The server's port is ready."""
    session.execute(
        sa.update(Port).where(Port.id == port_id, Port.device_id == server_id)
        .values(status="ACTIVE", updated_at=utcnow()))


def take_back(session: Session, server_id: str, port_id: str) -> list[str]:
    """Delete the server's port if it was made for it, else unbind it; ids of the groups that lose its addresses.

    A port that is not the server's (any more) is left alone.
    """
    is_it = (Port.id == port_id, Port.device_id == server_id)
    groups = list(session.scalars(
        sa.select(PortSecurityGroup.group_id).join(Port, Port.id == PortSecurityGroup.port_id).where(*is_it)))
    session.execute(sa.delete(Port).where(*is_it, Port.is_ours))
    session.execute(sa.update(Port).where(*is_it).values(
        device_id="", device_owner="", host=None, status="DOWN", position=0, tag=None, updated_at=utcnow()))
    return groups


def give_up(session: Session, server_id: str, port_id: str) -> None:
    """The port's owner has deleted it: it goes when it has left the server."""
    session.execute(sa.update(Port).where(Port.id == port_id, Port.device_id == server_id).values(is_ours=True))
