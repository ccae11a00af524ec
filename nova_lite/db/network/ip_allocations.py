# SPDX-License-Identifier: Apache-2.0
"""Fixed addresses: the row, and the choice of a free one that many allocators can make at once."""

from __future__ import annotations

import dataclasses
import ipaddress
import random
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, InsertUnlessTaken
from nova_lite.db.network.networks import Pluggable, Range

_TRIES = 8
_CANDIDATES = 16  # a subnet that is half full lets all 16 fail once in 65,536 times


class Address(Base):
    """A fixed address of a port; the unique key decides the race between two allocators."""

    __tablename__ = "addresses"
    __table_args__ = (sa.UniqueConstraint("subnet_id", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnets.id"))
    port_id: Mapped[str] = mapped_column(sa.ForeignKey("ports.id", ondelete="CASCADE"), index=True)
    address: Mapped[str] = mapped_column(sa.String(64))


# Built once: building a query costs several times what running it does.
_ADD: Any = InsertUnlessTaken(Address.__table__).inline()  # type: ignore[arg-type]
_TAKEN = sa.select(Address.address).where(
    Address.subnet_id == sa.bindparam("subnet"), Address.address.in_(sa.bindparam("candidates", expanding=True))
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A requested fixed address: of this subnet (None: any), this very one (None: any)."""

    subnet_id: str | None = None
    address: str | None = None


Picked = tuple[Wanted, str, str]  # what was wanted, and the subnet's id and the address that may fulfil it


def choose(session: Session, network: Pluggable, wanted: Sequence[Wanted] | None, *, rng: random.Random) -> list[Picked]:
    """An address for each wanted (None: one of any subnet); random ones may be taken. Errors as for `pick`."""
    return [(want, *_pick(session, network, want, rng=rng, attempt=0)) for want in _each(network, wanted)]


def allocate(session: Session, network: Pluggable, chosen: Sequence[Picked], *, port_id: str, rng: random.Random) -> list[str]:
    """Give the port an address for each of `choose`; returns them.

    As a rule one insert each: the unique key says whether it was free; if not, another one is picked. Errors as for `pick`.
    """
    connection, addresses = session.connection(), []
    for want, *first in chosen:
        subnet_id, address = first
        for attempt in range(1, _TRIES):
            if connection.execute(_ADD, {"port_id": port_id, "subnet_id": subnet_id, "address": address}).rowcount:
                addresses.append(address)
                break
            subnet_id, address = _pick(session, network, want, rng=rng, attempt=attempt)
        else:
            raise errors.Conflict(reason=f"network {network.id} was deleted, or others take its addresses at the same time: try again")
    return addresses


def pick(session: Session, network: Pluggable, wanted: Sequence[Wanted] | None, *, rng: random.Random) -> list[tuple[str, str]]:
    """(subnet id, address) pairs that are free now, one for each wanted; the insert has the last word.

    :raises errors.BadRequest: an address or subnet is not of this network.
    :raises errors.Conflict: a requested address is taken. :raises errors.NoCapacity: all are taken.
    """
    return [_pick(session, network, want, rng=rng, attempt=1) for want in _each(network, wanted)]


def _each(network: Pluggable, wanted: Sequence[Wanted] | None) -> Sequence[Wanted]:
    if wanted is None:
        return [Wanted()] if network.subnets else []
    return wanted


def _pick(session: Session, network: Pluggable, want: Wanted, *, rng: random.Random, attempt: int) -> tuple[str, str]:
    """The first attempt at a random address is made blindly, the next ones look at what is taken."""
    subnets = [subnet for subnet in network.subnets if want.subnet_id in (None, subnet.id)]
    if not subnets:
        raise errors.BadRequest(
            reason=f"Invalid input for operation: subnet {want.subnet_id} is not on network {network.id}."
        )
    if want.address is not None:
        return _given(session, network, subnets, want.address)
    blind = _any(subnets, rng=rng) if attempt == 0 else None
    return blind or _pick_free(session, network, subnets, rng=rng, exactly=attempt >= _TRIES // 2)


def is_taken(session: Session, subnet_id: str, address: str) -> bool:
    """Whether a port has the address."""
    query = sa.select(Address.id).where(Address.subnet_id == subnet_id, Address.address == address)
    return session.scalar(query) is not None


def _given(session: Session, network: Pluggable, subnets: Sequence[Range], address: str) -> tuple[str, str]:
    try:
        number = ipaddress.IPv4Address(address)
    except ValueError:
        raise errors.BadRequest(reason=f"'{address}' is not a valid IPv4 address.") from None
    for subnet in subnets:
        block = ipaddress.IPv4Network(subnet.cidr)
        if number not in block:
            continue
        if block.prefixlen < 31 and number in (block.network_address, block.broadcast_address):
            break
        query = sa.select(Address.id).where(Address.subnet_id == subnet.id, Address.address == str(number))
        if str(number) == subnet.gateway or session.scalar(query) is not None:
            raise errors.Conflict(reason=f"IP address {number} already allocated in subnet {subnet.id}")
        return subnet.id, str(number)
    raise errors.BadRequest(
        reason=f"IP address {number} is not a valid IP for any of the subnets on the specified network "
        f"{network.id}."
    )


def _any(subnets: Sequence[Range], *, rng: random.Random) -> tuple[str, str] | None:
    """A random address of the first subnet that has any; whether it is free is not looked at."""
    for subnet in subnets:
        ranges, size = _ranges(subnet)
        if size:
            return subnet.id, _nth(ranges, int(rng.random() * size))
    return None


def _ranges(subnet: Range) -> tuple[list[tuple[int, int]], int]:
    """The subnet's pools as numbers, first and last, and how many addresses they have together."""
    ranges = [(int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last))) for first, last in subnet.pools]
    return ranges, sum(last - first + 1 for first, last in ranges)


def _pick_free(
    session: Session, network: Pluggable, subnets: Sequence[Range], *, rng: random.Random, exactly: bool
) -> tuple[str, str]:
    """One free address: random candidates checked by one query, else the first free after a random start."""
    for subnet in subnets:
        ranges, size = _ranges(subnet)
        if not size:
            continue
        if not exactly:
            candidates = [_nth(ranges, int(rng.random() * size)) for _ in range(_CANDIDATES)]
            params = {"subnet": subnet.id, "candidates": candidates}
            taken = set(session.connection().execute(_TAKEN, params).scalars())
            free = next((address for address in candidates if address not in taken), None)
            if free is not None:
                return subnet.id, free
        taken = set(session.scalars(sa.select(Address.address).where(Address.subnet_id == subnet.id)))
        start = rng.randrange(size)
        numbers = (_nth(ranges, (start + step) % size) for step in range(size))
        free = next((address for address in numbers if address not in taken), None)
        if free is not None:
            return subnet.id, free
    raise errors.NoCapacity(
        "No more IP addresses available on network " + network.id + ".",
        what="IP addresses",
        where=f"network {network.id}",
    )


def _nth(ranges: Iterable[tuple[int, int]], index: int) -> str:
    for first, last in ranges:
        if index <= last - first:
            return socket.inet_ntoa((first + index).to_bytes(4, "big"))  # a tenth of what ipaddress takes
        index -= last - first + 1
    raise IndexError(index)
