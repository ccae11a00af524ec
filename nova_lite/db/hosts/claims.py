# SPDX-License-Identifier: Apache-2.0
"""Claims: a server's resources on a host, taken and released so that the host's sums always agree with its claims."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.db.base import for_update, utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Claim, Host
from nova_lite.values.resources import AllocationRatios, Resources

# Built once: building a statement costs several times what running it does.
_HOSTS: Any = Host.__table__
_OF_SERVER = sa.select(Claim).where(Claim.server_id == sa.bindparam("of"))
_NAMES = tuple(Resources().amounts())
_NEW = {name: sa.bindparam(f"new_{name}", type_=sa.Integer) for name in _NAMES}
_RATIOS = {name: sa.bindparam(f"{name}_ratio", type_=sa.Float) for name in ("cpu", "ram", "disk")}


def _fits(free_of: Any, growth: Any, ratios: Any) -> dict[str, sa.ColumnElement[bool]]:  # columns of a table or a class
    """By resource: what must hold of the host for its sum to grow by so much."""
    return {
        "vcpus": free_of.vcpus_claimed + growth["vcpus"] <= free_of.vcpus * ratios["cpu"],
        "ram_mb": free_of.ram_mb_claimed + growth["ram_mb"] <= (free_of.ram_mb - free_of.reserved_ram_mb) * ratios["ram"],
        "disk_gb": free_of.disk_gb_claimed + growth["disk_gb"] <= (free_of.disk_gb - free_of.reserved_disk_gb) * ratios["disk"],
        "pcpus": free_of.pcpus_claimed + growth["pcpus"] <= free_of.pcpus,
        "hugepages_mb": free_of.hugepages_mb_claimed + growth["hugepages_mb"] <= free_of.hugepages_mb,
    }


_TAKE = sa.update(_HOSTS).where(
    _HOSTS.c.name == sa.bindparam("on"),
    # Locked: of two deliveries of one request the second waits here, and then sees the claim of the first.
    for_update(sa.select(Server.number).where(
        Server.id == sa.bindparam("of"), Server.deleted_at.is_(None), sa.func.coalesce(Server.task_state, "") != "deleting",
    ), key_share=True).exists(),
    sa.func.coalesce(sa.bindparam("in_az", type_=sa.String), _HOSTS.c.availability_zone) == _HOSTS.c.availability_zone,
    sa.not_(_HOSTS.c.closed),
    # Nothing of a resource fits also where an operator took away what is claimed.
    *(sa.or_(_NEW[name] == 0, fits) for name, fits in _fits(_HOSTS.c, _NEW, _RATIOS).items()),
).values({"servers_claimed": _HOSTS.c.servers_claimed + 1,
          **{f"{name}_claimed": _HOSTS.c[f"{name}_claimed"] + _NEW[name] for name in _NAMES}})
_CLAIMS: Any = Claim.__table__
_CLAIMED = sa.exists().where(_CLAIMS.c.server_id == sa.bindparam("of"))
_CLAIMED_ELSEWHERE = _CLAIMED.where(_CLAIMS.c.host.not_in(sa.bindparam("excluded", expanding=True)))


def _claim_unless(claimed: sa.Exists) -> sa.Insert:
    values = {"server_id": sa.bindparam("of"), "host": sa.bindparam("on"), **_NEW, "created_at": sa.bindparam("now", type_=_CLAIMS.c.created_at.type)}
    return sa.insert(_CLAIMS).from_select(
        [_CLAIMS.c[name] for name in values], sa.select(*values.values()).where(~claimed), include_defaults=False)


_LOCKED = for_update(sa.select(_CLAIMS).where(_CLAIMS.c.server_id == sa.bindparam("of")).order_by(_CLAIMS.c.host))
_DELETE = sa.delete(_CLAIMS).where(_CLAIMS.c.server_id == sa.bindparam("of"), _CLAIMS.c.host == sa.bindparam("on"))
_FREE = sa.update(_HOSTS).where(_HOSTS.c.name == sa.bindparam("on")).values(
    {"servers_claimed": _HOSTS.c.servers_claimed - 1, **{f"{name}_claimed": _HOSTS.c[f"{name}_claimed"] + _NEW[name] for name in _NAMES}})
_CLAIM, _CLAIM_ELSEWHERE = _claim_unless(_CLAIMED), _claim_unless(_CLAIMED_ELSEWHERE)


class AlreadyClaimedError(Exception):
    """The server has a claim: an earlier delivery of the request made it. The transaction is to be rolled back."""


def allocation_ratios(conf: cfg.ConfigOpts) -> AllocationRatios:
    """The configured ratios."""
    options = conf.scheduler
    return AllocationRatios(cpu=options.cpu_allocation_ratio, ram=options.ram_allocation_ratio, disk=options.disk_allocation_ratio)


def of_server(session: Session, server_id: str) -> list[Claim]:
    """The server's claims; one at rest, two while it moves between hosts."""
    return list(session.scalars(_OF_SERVER, {"of": server_id}))


def take(
    session: Session, *, server_id: str, host: str, resources: Resources, ratios: AllocationRatios,
    availability_zone: str | None = None, excluded: Collection[str] = (),
) -> bool:
    """Claim the resources by one guarded UPDATE.

    False: the host has not enough free capacity (any more), is not in `availability_zone` any more, an operator has closed
    it, or the server is deleted or being deleted.

    :raises AlreadyClaimedError: the server has a claim on a host that is not `excluded`.
    """
    which = {"of": server_id, "on": host, **{f"new_{name}": amount for name, amount in resources.amounts().items()}}
    taken = session.connection().execute(_TAKE, {
        **which, "in_az": availability_zone, "cpu_ratio": ratios.cpu, "ram_ratio": ratios.ram, "disk_ratio": ratios.disk})
    if not taken.rowcount:
        return False
    statement, parameters = (_CLAIM_ELSEWHERE, {"excluded": sorted(excluded)}) if excluded else (_CLAIM, {})
    claimed = session.connection().execute(statement, {**which, "now": utcnow(), **parameters})
    if not claimed.rowcount:
        raise AlreadyClaimedError
    return True


def change(
    session: Session, *, server_id: str, host: str, resources: Resources, ratios: AllocationRatios | None,
) -> bool:
    """Make the server's claim this large; `ratios` limit what it grows by, None: it only shrinks.

    False: there is not enough free capacity, or nothing is claimed. Repeated, nothing changes.
    """
    claim = session.scalars(for_update(
        sa.select(Claim).where(Claim.server_id == server_id, Claim.host == host))).one_or_none()
    if claim is None:
        return False
    growth = (resources - claim.resources).amounts()
    statement = sa.update(Host).where(Host.name == host)
    if ratios is not None:
        # What does not grow fits also where the host has come to have less than its claims.
        fits = _fits(Host, growth, dataclasses.asdict(ratios))
        statement = statement.where(*(fits[name] for name in _NAMES if growth[name] > 0))
    changed = session.execute(statement.values(_sums(growth)).execution_options(synchronize_session=False))
    if not changed.rowcount:  # type: ignore[attr-defined]
        return False
    for name, amount in resources.amounts().items():
        setattr(claim, name, amount)
    session.flush()
    return True


def _sums(growth: dict[str, int]) -> dict[str, Any]:
    """The host's sums after claims grew by so much."""
    return {f"{name}_claimed": getattr(Host, f"{name}_claimed") + amount for name, amount in growth.items()}


def release(session: Session, *, server_id: str, host: str | None = None) -> None:
    """Release the server's claims, on one host or (None) on all; without claims nothing happens."""
    session.flush()
    connection = session.connection()
    for claim in connection.execute(_LOCKED, {"of": server_id}).all():
        which = {"of": server_id, "on": claim.host}
        if host in (None, claim.host) and connection.execute(_DELETE, which).rowcount:
            connection.execute(_FREE, {**which, **{f"new_{name}": -getattr(claim, name) for name in _NAMES}})


@dataclasses.dataclass(frozen=True)
class Sums:
    """What hosts' rows have, or claims add up to."""

    servers: int
    resources: Resources

    def __str__(self) -> str:
        return text(self.resources, self.servers)


@dataclasses.dataclass(frozen=True)
class Inconsistency:
    """A host whose row has other sums than its claims add up to."""

    host: str
    row: Sums
    claims: Sums


_SUMS = ("servers_claimed", *(f"{name}_claimed" for name in _NAMES))
_TOTALS = (sa.func.count(Claim.server_id), *(sa.func.coalesce(sa.func.sum(getattr(Claim, name)), 0) for name in _NAMES))
_INCONSISTENT: Any = sa.select(Host.name, *(sa.func.max(getattr(Host, name)) for name in _SUMS), *_TOTALS).outerjoin(
    Claim, Claim.host == Host.name).group_by(Host.number, Host.name).having(
    sa.or_(*(sa.func.max(getattr(Host, name)) != total for name, total in zip(_SUMS, _TOTALS, strict=True))))


def inconsistent_hosts(session: Session) -> list[Inconsistency]:
    """The hosts whose sums differ from their claims, by one statement, which sees each transaction whole."""
    rows = session.execute(_INCONSISTENT).all()
    return [Inconsistency(row[0], _as_sums(row[1:1 + len(_SUMS)]), _as_sums(row[1 + len(_SUMS):])) for row in rows]


def _as_sums(numbers: Sequence[Any]) -> Sums:
    return Sums(int(numbers[0]), Resources(**{name: int(number) for name, number in zip(_NAMES, numbers[1:], strict=True)}))


def repair_sums(session: Session, host: str) -> Inconsistency | None:
    """Set the host's sums to what its claims add up to, and say what they were. None: they agree.

    Every change of a claim updates the host's row in the same transaction, so while that row is locked the claims do
    not change.
    """
    row = session.scalars(for_update(sa.select(Host).where(Host.name == host))).one_or_none()
    if row is None:
        return None
    claims = session.scalars(sa.select(Claim).where(Claim.host == host).execution_options(populate_existing=True)).all()
    before = Sums(row.servers_claimed, row.allocated)
    after = Sums(len(claims), sum((claim.resources for claim in claims), Resources()))
    if before == after:
        return None
    for name, amount in after.resources.amounts().items():
        setattr(row, f"{name}_claimed", amount)
    row.servers_claimed = after.servers
    session.flush()
    return Inconsistency(host, before, after)


def text(resources: Resources, servers: int | None = None) -> str:
    """For people: `2 servers, 2 vcpus, 256 ram_mb, …`."""
    counted = {} if servers is None else {"servers": servers}
    return ", ".join(f"{amount} {name}" for name, amount in {**counted, **resources.amounts()}.items())
