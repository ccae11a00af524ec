# SPDX-License-Identifier: Apache-2.0
"""Ports that come to a server and its host, and leave them; what other hosts must know of it is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.base import utcnow
from nova_lite.db.network import ports
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.network_changes import Kind, NetworkChange
from nova_lite.db.network.ports import Port, PortSecurityGroup

_Condition = Callable[[Any], sa.ColumnElement[bool]]  # of a table of ports


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


def join_networks(session: Session, server_id: str) -> None:
    """The server's host has its networks now: other hosts learn of those that are new to it, and of its ports' addresses.

    A network is new until a port of another server there is ACTIVE: that server's action has recorded it. Of two that
    come at once both record it.
    """
    session.execute(_RECORD_JOIN, {"of": server_id, "now": utcnow()})


def leave_host(session: Session, server_id: str) -> None:
    """The server's ports stay its own and are plugged nowhere."""
    session.execute(_RECORD_LEAVE, {"of": server_id, "now": utcnow()})
    ports.plug(session, server_id, host=None, is_up=False)


def move_tunnel(session: Session, host: str) -> None:
    """The host's tunnel address changes: the other hosts of its networks are to reach it there."""
    session.execute(_RECORD_MOVE, {"host": host, "now": utcnow()})


def has_peers(session: Session, server_id: str) -> bool:
    """Whether other hosts have ports on the server's networks."""
    return session.connection().scalar(_HAS_PEERS, {"of": server_id}) is True


def release_for_server(session: Session, server_id: str) -> None:
    """Delete the ports made for the server, unbind its user's own."""
    now = utcnow()
    session.execute(_RECORD_RELEASE, {"of": server_id, "now": now})
    session.execute(_DELETE_OURS, {"of": server_id})
    session.execute(_UNBIND, {"of": server_id, "now": now})


def take_back(session: Session, server_id: str, port_id: str) -> None:
    """Delete the server's port if it was made for it, else unbind it.

    A port that is not the server's (any more) is left alone.
    """
    now = utcnow()
    is_it = (Port.id == port_id, Port.device_id == server_id)
    session.execute(_RECORD_TAKE_BACK, {"of": server_id, "port": port_id, "now": now})
    session.execute(sa.delete(Port).where(*is_it, Port.is_ours))
    session.execute(sa.update(Port).where(*is_it).values(
        device_id="", device_owner="", host=None, status="DOWN", position=0, tag=None, updated_at=now))


def secure(session: Session, port: Port, *, is_secured: bool) -> None:
    """Security groups and anti-spoofing apply to the port, or do not; its network's hosts learn whether its MAC is its only one."""
    if port.port_security_enabled != is_secured:
        port.port_security_enabled = is_secured
        session.execute(_RECORD_PLACE, {"port": port.id, "now": utcnow()})


def give_up(session: Session, server_id: str, port_id: str) -> None:
    """The port's owner has deleted it: it goes when it has left the server."""
    session.execute(sa.update(Port).where(Port.id == port_id, Port.device_id == server_id).values(is_ours=True))


# Statements of every build and delete are built once: building one costs several times what running it does.
_TABLE: Any = Port.__table__
_CHANGE: Any = NetworkChange.__table__
_COLUMNS = ["kind", "resource_id", "port_id", "network_id", "address", "created_at"]
_NOW = sa.bindparam("now", type_=_CHANGE.c.created_at.type)
_NO_ID, _NO_ADDRESS = sa.cast(sa.null(), sa.String(36)), sa.cast(sa.null(), sa.String(64))


def _networks(of: _Condition, *, still_there: _Condition) -> sa.Select[Any]:
    """A row for each network of the ports whose host has no other port of it that is `still_there`."""
    port, other = _TABLE.alias("port"), _TABLE.alias("other")
    has_other = sa.exists().where(other.c.network_id == port.c.network_id, other.c.host == port.c.host, still_there(other))
    return sa.select(sa.literal(str(Kind.NETWORK)), port.c.network_id, _NO_ID, _NO_ID, _NO_ADDRESS, _NOW).distinct().where(
        of(port), port.c.host.is_not(None), ~has_other)


def _members(of: _Condition) -> sa.Select[Any]:
    """A row for each address of the ports in each of their groups."""
    port = _TABLE.alias("member_port")
    member: Any = PortSecurityGroup.__table__
    address: Any = Address.__table__
    return sa.select(sa.literal(str(Kind.MEMBER)), member.c.group_id, port.c.id, port.c.network_id, address.c.address, _NOW).where(
        of(port), member.c.port_id == port.c.id, address.c.port_id == port.c.id)


def _places(of: _Condition) -> sa.Select[Any]:
    """A row for each of the ports on a host whose network is on other hosts too: only these need to know where it is."""
    port, peer = _TABLE.alias("placed"), _TABLE.alias("peer_port")
    has_peer = sa.exists().where(peer.c.network_id == port.c.network_id, peer.c.host != port.c.host)
    return sa.select(
        sa.literal(str(Kind.PLACE)), port.c.network_id, port.c.id, port.c.network_id, port.c.mac_address, _NOW).where(of(port), has_peer)


def _is_of_server(port: Any) -> sa.ColumnElement[bool]:  # an alias of the table
    return port.c.device_id == sa.bindparam("of")  # type: ignore[no-any-return]


def _is_it(port: Any) -> sa.ColumnElement[bool]:  # an alias of the table
    return sa.and_(_is_of_server(port), port.c.id == sa.bindparam("port"))


def _record(rows: sa.Select[Any] | sa.CompoundSelect[Any]) -> sa.Insert:
    return sa.insert(_CHANGE).from_select(_COLUMNS, rows, include_defaults=False)


_RECORD_JOIN = _record(sa.union_all(
    _members(_is_of_server), _places(_is_of_server),
    _networks(_is_of_server, still_there=lambda other: sa.and_(
        other.c.device_id != sa.bindparam("of"), other.c.status == "ACTIVE"))))
_RECORD_LEAVE = _record(sa.union_all(
    _places(_is_of_server), _networks(_is_of_server, still_there=lambda other: other.c.device_id != sa.bindparam("of"))))
_RECORD_RELEASE = _record(sa.union_all(
    _members(lambda port: sa.and_(_is_of_server(port), port.c.is_ours)), _places(_is_of_server),
    _networks(_is_of_server, still_there=lambda other: other.c.device_id != sa.bindparam("of"))))
_RECORD_TAKE_BACK = _record(sa.union_all(
    _members(lambda port: sa.and_(_is_it(port), port.c.is_ours)), _places(_is_it),
    _networks(_is_it, still_there=lambda other: other.c.id != sa.bindparam("port"))))
_PEER, _OWN = _TABLE.alias("peer"), _TABLE.alias("own")
_HAS_PEERS = sa.select(sa.exists().where(
    _is_of_server(_OWN), _PEER.c.network_id == _OWN.c.network_id, _PEER.c.host != _OWN.c.host))
_RECORD_MOVE = _record(sa.union_all(*(
    sa.select(sa.literal(str(kind)), _TABLE.c.network_id, _NO_ID, _NO_ID, _NO_ADDRESS, _NOW).distinct().where(
        _TABLE.c.host == sa.bindparam("host"))
    for kind in (Kind.NETWORK, Kind.RELOAD_PLACES))))
_RECORD_PLACE = _record(_places(lambda port: port.c.id == sa.bindparam("port")))
_DELETE_OURS = sa.delete(_TABLE).where(_TABLE.c.device_id == sa.bindparam("of"), _TABLE.c.is_ours)
_UNBIND = sa.update(_TABLE).where(_TABLE.c.device_id == sa.bindparam("of")).values(
    device_id="", device_owner="", host=None, status="DOWN", position=0, tag=None, updated_at=sa.bindparam("now"))
