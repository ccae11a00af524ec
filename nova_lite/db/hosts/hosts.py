# SPDX-License-Identifier: Apache-2.0
"""Services and compute hosts: heartbeats, each host's inventory, and the sums of the claims on it."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db import clock
from nova_lite.db.base import Base, Timestamps, new_id, utcnow
from nova_lite.db.hosts.observation import Observed
from nova_lite.db.network import interfaces
from nova_lite.values.resources import Resources

# The daemons that have hosts.
COMPUTE, NETWORK, VOLUME = "nova-compute", "nova-network", "nova-volume"
AUTO = "AUTO: "  # prefix of the reason when a service disabled itself
OUTDATED = "it is of an earlier release, which does not understand the requests of this one: upgrade it"


class Service(Timestamps, Base):
    """One service as os-services shows it; up while `seen_at` is younger than `service_down_time`."""

    __tablename__ = "services"
    __table_args__ = (sa.UniqueConstraint("binary", "host"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    binary: Mapped[str] = mapped_column(sa.String(64))
    host: Mapped[str]
    agent: Mapped[str]
    availability_zone: Mapped[str] = mapped_column(default="internal")
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None]
    forced_down: Mapped[bool] = mapped_column(default=False)
    is_outdated: Mapped[bool] = mapped_column(default=False, server_default=sa.false())  # of an earlier release: it does not understand requests
    seen_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)


class Host(Timestamps, Base):
    """One compute host: inventory, and the sums of the claims on it, which a guarded UPDATE keeps in bounds."""

    __tablename__ = "hosts"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    agent: Mapped[str]
    availability_zone: Mapped[str] = mapped_column(default="nova")  # its aggregate's, else its worker's
    closed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())  # by an operator, who disabled its nova-compute or forced it down
    aggregate_az: Mapped[str | None] = mapped_column("aggregate_zone", key="aggregate_az")
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]
    reserved_ram_mb: Mapped[int] = mapped_column(default=0)
    reserved_disk_gb: Mapped[int] = mapped_column(default=0)
    disk_free_gb: Mapped[int] = mapped_column(default=0)
    vcpus_claimed: Mapped[int] = mapped_column(default=0)
    ram_mb_claimed: Mapped[int] = mapped_column(default=0)
    disk_gb_claimed: Mapped[int] = mapped_column(default=0)
    servers_claimed: Mapped[int] = mapped_column(default=0)
    pcpus: Mapped[int] = mapped_column(default=0, server_default="0")
    pcpus_claimed: Mapped[int] = mapped_column(default=0, server_default="0")
    hugepages_mb: Mapped[int] = mapped_column("huge_mb", key="hugepages_mb", default=0, server_default="0")
    hugepages_mb_claimed: Mapped[int] = mapped_column("huge_mb_claimed", key="hugepages_mb_claimed", default=0, server_default="0")
    capabilities: Mapped[dict[str, Any] | None] = mapped_column("offers", key="capabilities")  # rpc.conductor.HostCapabilities
    architecture: Mapped[str] = mapped_column(sa.String(32))
    hypervisor_type: Mapped[str] = mapped_column(sa.String(32))
    hypervisor_version: Mapped[int]
    hypervisor_hostname: Mapped[str]
    virt_type: Mapped[str] = mapped_column(sa.String(16))
    virt_reason: Mapped[str] = mapped_column(sa.Text, default="")
    cpu_info: Mapped[str] = mapped_column(sa.Text, default="{}")
    host_ip: Mapped[str] = mapped_column(default="")
    tunnel_ip: Mapped[str | None]
    uptime: Mapped[str] = mapped_column(default="")

    @property
    def inventory(self) -> Resources:
        """What guests may use: all that the host has, less what is reserved for the host itself."""
        return Resources(vcpus=self.vcpus, ram_mb=self.ram_mb - self.reserved_ram_mb, disk_gb=self.disk_gb - self.reserved_disk_gb,
                         pcpus=self.pcpus, hugepages_mb=self.hugepages_mb)

    @property
    def allocated(self) -> Resources:
        """The sums of the claims on it."""
        return Resources(vcpus=self.vcpus_claimed, ram_mb=self.ram_mb_claimed, disk_gb=self.disk_gb_claimed,
                         pcpus=self.pcpus_claimed, hugepages_mb=self.hugepages_mb_claimed)


class Claim(Base):
    """A server's resources on a host; by the primary key two claims of one server are one."""

    __tablename__ = "claims"

    server_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True, index=True)
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]
    pcpus: Mapped[int] = mapped_column(default=0, server_default="0")
    hugepages_mb: Mapped[int] = mapped_column("huge_mb", key="hugepages_mb", default=0, server_default="0")
    created_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)

    @property
    def resources(self) -> Resources:
        """The claimed amounts."""
        return Resources(vcpus=self.vcpus, ram_mb=self.ram_mb, disk_gb=self.disk_gb, pcpus=self.pcpus,
                         hugepages_mb=self.hugepages_mb)


_REASON_LETTERS = 255
_ALL_SERVICES = sa.select(Service).order_by(Service.binary, Service.host)
_ALL_HOSTS = sa.select(Host).order_by(Host.number)
_FOR_PLACEMENT = sa.select(Service).where(sa.or_(
    Service.binary == COMPUTE, Service.is_outdated))


def is_alive(service: Service, *, now: datetime.datetime | Observed, down_time_s: float) -> bool:
    """Whether the service's last heartbeat is recent and it is not forced down.

    `now`: what the database's clock shows, for those who list services; for those who decide whom to use, what was observed.
    """
    heard = now if isinstance(now, Observed) else Observed(now, now)
    return not service.forced_down and heard.is_recent(service.seen_at, within_s=down_time_s)


def services(session: Session, *, binary: str | None = None, host: str | None = None) -> list[Service]:
    """All services, by name."""
    query = _ALL_SERVICES
    if binary:
        query = query.where(Service.binary == binary)
    if host:
        query = query.where(Service.host == host)
    return list(session.scalars(query))


def services_for_placement(session: Session) -> list[Service]:
    """Every nova-compute, and of the others those that are of an earlier release."""
    return list(session.scalars(_FOR_PLACEMENT))


def outdated_worker(session: Session, agent: str, *, binaries: Collection[str]) -> str | None:
    """Which of the workers of that name is of an earlier release; None: none of them."""
    return session.scalar(sa.select(Service.binary).where(
        Service.agent == agent, Service.binary.in_(binaries), Service.is_outdated).limit(1))


def get_service(session: Session, service_id: str) -> Service:
    """:raises errors.NotFound: no service has this id."""
    service = session.scalars(sa.select(Service).where(Service.id == service_id)).one_or_none()
    if service is None:
        raise errors.NotFound(what="Service", id=service_id)
    return service


def hosts(session: Session) -> list[Host]:
    """All compute hosts, in the order in which they joined."""
    return list(session.scalars(_ALL_HOSTS))


def ip_of(session: Session, name: str) -> str:
    """The address of a compute host for other hosts; empty: it is not known."""
    return session.scalar(sa.select(Host.host_ip).where(Host.name == name)) or ""


def get_host(session: Session, host_id: str) -> Host:
    """:raises errors.NotFound: no compute host has this id."""
    host = session.scalars(sa.select(Host).where(Host.id == host_id)).one_or_none()
    if host is None:
        raise errors.NotFound(what="Compute host", id=host_id)
    return host


def _to_service(*change: tuple[Any, Any]) -> sa.Update:
    # In this order: to MariaDB, a column that was set before has its new value.
    return sa.update(_SERVICES).where(
        _SERVICES.c.binary == sa.bindparam("of_binary"), _SERVICES.c.agent == sa.bindparam("of_agent")).ordered_values(*change)


# Built once: building a statement costs several times what running it does, and each daemon has one every few seconds.
_SERVICES: Any = Service.__table__
_DISABLES_ITSELF = sa.func.coalesce(_SERVICES.c.disabled_reason, "").startswith(AUTO)
_IS_OUTDATED = (_SERVICES.c.is_outdated, sa.bindparam("outdated", type_=sa.Boolean))
_BEAT = _to_service(
    _IS_OUTDATED,
    (_SERVICES.c.disabled, sa.case((_DISABLES_ITSELF, sa.false()), else_=_SERVICES.c.disabled)),
    (_SERVICES.c.disabled_reason, sa.case((_DISABLES_ITSELF, sa.null()), else_=_SERVICES.c.disabled_reason)),
    (_SERVICES.c.seen_at, clock.now()))
_UNFIT = (
    _IS_OUTDATED,
    (_SERVICES.c.disabled_reason, sa.case(
        (_SERVICES.c.disabled & sa.not_(_DISABLES_ITSELF), _SERVICES.c.disabled_reason), else_=sa.bindparam("auto_reason", type_=sa.String))),
    (_SERVICES.c.disabled, sa.true()))
_UNFIT_AND_UP = _to_service(*_UNFIT, (_SERVICES.c.seen_at, clock.now()))
_UNFIT_ONLY = _to_service(*_UNFIT)
_HOSTS: Any = Host.__table__
_IS_CLOSED = sa.func.coalesce(sa.select(_SERVICES.c.forced_down | (_SERVICES.c.disabled & sa.not_(_DISABLES_ITSELF))).where(
    _SERVICES.c.binary == COMPUTE, _SERVICES.c.host == _HOSTS.c.name).scalar_subquery(), sa.false())
_CLOSE = sa.update(_HOSTS).where(_HOSTS.c.name.in_(sa.bindparam("names", expanding=True)), _HOSTS.c.closed != _IS_CLOSED).values(closed=_IS_CLOSED)


def beat(session: Session, *, binary: str, agent: str, trouble: str = "", is_outdated: bool = False) -> int:
    """Record a heartbeat of a service; how many rows it has.

    With `trouble`, which hinders it, or an earlier release its hosts can take no new guests. It is disabled at once, unless an
    operator has disabled it; as in Nova, such a reason begins with "AUTO: ", and goes with its cause. In trouble it is not kept up.
    """
    which = {"of_binary": binary, "of_agent": agent, "outdated": is_outdated}
    reason = _auto_reason(trouble, is_outdated=is_outdated)
    if reason is None:
        return session.connection().execute(_BEAT, which).rowcount
    return session.connection().execute(_UNFIT_ONLY if trouble else _UNFIT_AND_UP, {**which, "auto_reason": reason}).rowcount


def register_service(  # the columns of a service
    session: Session, *, binary: str, agent: str, availability_zone: str, names: list[str], now: datetime.datetime,
    trouble: str = "", is_outdated: bool = False,
) -> None:
    """Add the rows of a service that are not there yet, one for each of the hosts `names` that it runs on."""
    present = set(session.scalars(sa.select(Service.host).where(Service.binary == binary, Service.host.in_(names))))
    reason = _auto_reason(trouble, is_outdated=is_outdated)
    session.add_all(
        Service(binary=binary, host=name, agent=agent, availability_zone=availability_zone, seen_at=now,
                disabled=reason is not None, disabled_reason=reason, is_outdated=is_outdated)
        for name in names if name not in present)


def set_disabled(session: Session, service: Service, *, disabled: bool, reason: str | None = None) -> None:
    """As an operator's request: a nova-compute that is disabled gets no server from the end of this transaction on."""
    _change_service(session, service, disabled=disabled, disabled_reason=reason)


def set_forced_down(session: Session, service: Service, *, forced_down: bool) -> None:
    """As an operator's request: a nova-compute that is forced down gets no server from the end of this transaction on."""
    _change_service(session, service, forced_down=forced_down)


def _change_service(session: Session, service: Service, **columns: Any) -> None:
    # All columns, whatever was read: a heartbeat may have changed them since.
    session.execute(sa.update(Service).where(Service.number == service.number).values(columns))
    if service.binary == COMPUTE:
        _close(session, [service.host])


def _close(session: Session, names: Iterable[str]) -> None:
    """Let the hosts' rows say what an operator wants of them: claims change such a row, so that they wait for this, and see it."""
    session.connection().execute(_CLOSE, {"names": list(names)})


def register_hosts(
    session: Session, *, agent: str, availability_zone: str, columns: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add or update the rows of compute hosts; `columns`: their values by host name. An aggregate's zone takes precedence."""
    rows = {row.name: row for row in session.scalars(sa.select(Host).where(Host.name.in_(columns)))}
    for name, values in columns.items():
        row = rows.get(name)
        if row is None:
            row = Host(name=name)
            session.add(row)
        elif row.tunnel_ip != values.get("tunnel_ip", row.tunnel_ip):
            interfaces.move_tunnel(session, row.name)
        row.agent, row.availability_zone = agent, row.aggregate_az or availability_zone
        for column, value in values.items():
            if getattr(row, column) != value:
                setattr(row, column, value)
    session.flush()
    _close(session, columns)  # also of those that are there: a nova-api of an earlier release changes the service only


def _auto_reason(trouble: str, *, is_outdated: bool) -> str | None:
    """Why the service disables itself; None: it does not."""
    unfit = trouble or (OUTDATED if is_outdated else "")
    return f"{AUTO}{unfit}"[:_REASON_LETTERS] if unfit else None
