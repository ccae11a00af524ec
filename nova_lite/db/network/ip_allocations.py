# SPDX-License-Identifier: Apache-2.0
"""Fixed addresses: the row, and the choice of a free one that many allocators can make at once."""

from __future__ import annotations

import dataclasses
import ipaddress
import random
import socket
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base
from nova_lite.db.network.networks import Pluggable, Range

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
_TAKEN = sa.select(Address.address).where(
    Address.subnet_id == sa.bindparam("subnet"), Address.address.in_(sa.bindparam("candidates", expanding=True))
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A requested fixed address: of this subnet (None: any), this very one (None: any)."""

    subnet_id: str | None = None
    address: str | None = None


def pick(
    session: Session,
    network: Pluggable,
    wanted: Sequence[Wanted] | None,
    *,
    rng: random.Random,
    exactly: bool = False,
) -> list[tuple[str, str]]:
    """(subnet id, address) pairs that are free now, one for each wanted; the insert has the last word.

    `exactly`: look at all that is taken instead of trying random candidates.

    :raises errors.BadRequest: an address or subnet is not of this network.
    :raises errors.Conflict: a requested address is taken. :raises errors.NoCapacity: all are taken.
    """
    if wanted is None:
        wanted = [Wanted()] if network.subnets else []
    picked: list[tuple[str, str]] = []
    for want in wanted:
        subnets = [subnet for subnet in network.subnets if want.subnet_id in (None, subnet.id)]
        if not subnets:
            raise errors.BadRequest(
                reason=f"Invalid input for operation: subnet {want.subnet_id} is not on network {network.id}."
            )
        if want.address is None:
            picked.append(_pick_free(session, network, subnets, rng=rng, exactly=exactly))
        else:
            picked.append(_given(session, network, subnets, want.address))
    return picked


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


def _pick_free(
    session: Session, network: Pluggable, subnets: Sequence[Range], *, rng: random.Random, exactly: bool
) -> tuple[str, str]:
    """One free address: random candidates checked by one query, else the first free after a random start."""
    for subnet in subnets:
        ranges = [
            (int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last)))
            for first, last in subnet.pools
        ]
        size = sum(last - first + 1 for first, last in ranges)
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
