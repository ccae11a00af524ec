# SPDX-License-Identifier: Apache-2.0
"""Services and compute hosts: heartbeats, each host's inventory, and the sums of the claims on it."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, new_id, utcnow
from nova_lite.db.network import interfaces
from nova_lite.rpc.conductor import ServiceReport
from nova_lite.rpc.payload import to_wire
from nova_lite.values.resources import Resources


class Service(Timestamps, Base):
    """One daemon as os-services shows it; alive while `seen_at` is younger than `service_down_time`."""

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
    seen_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)


class Host(Timestamps, Base):
    """One compute host: inventory, and the sums of the claims on it, which a guarded UPDATE keeps in bounds."""

    __tablename__ = "hosts"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    agent: Mapped[str]
    availability_zone: Mapped[str] = mapped_column(default="nova")  # its aggregate's, else what its worker says
    aggregate_zone: Mapped[str | None]
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


AUTO = "AUTO: "  # how the reason begins when no operator disabled a host
_REASON_LETTERS = 255
_IN_TROUBLE = sa.func.coalesce(Service.disabled_reason, "").startswith(AUTO)


def is_alive(service: Service, *, now: datetime.datetime, down_time_s: float) -> bool:
    """Whether the daemon's last heartbeat is recent and nobody forced it down."""
    return not service.forced_down and (now - service.seen_at).total_seconds() <= down_time_s


def services(session: Session, *, binary: str | None = None, host: str | None = None) -> list[Service]:
    """All daemons, by name."""
    query = sa.select(Service).order_by(Service.binary, Service.host)
    if binary:
        query = query.where(Service.binary == binary)
    if host:
        query = query.where(Service.host == host)
    return list(session.scalars(query))


def get_service(session: Session, service_id: str) -> Service:
    """:raises errors.NotFound: no daemon has this id."""
    service = session.scalars(sa.select(Service).where(Service.id == service_id)).one_or_none()
    if service is None:
        raise errors.NotFound(what="Service", id=service_id)
    return service


def hosts(session: Session) -> list[Host]:
    """All compute hosts, in the order in which they joined."""
    return list(session.scalars(sa.select(Host).order_by(Host.number)))


def get_host(session: Session, host_id: str) -> Host:
    """:raises errors.NotFound: no compute host has this id."""
    host = session.scalars(sa.select(Host).where(Host.id == host_id)).one_or_none()
    if host is None:
        raise errors.NotFound(what="Compute host", id=host_id)
    return host


def beat(session: Session, status: ServiceReport, *, now: datetime.datetime) -> int:
    """Note what a daemon said of itself; how many rows it has.

    One in trouble is not seen, so that it is down soon, and disabled at once, unless an operator has disabled it.
    As in Nova, such a reason begins with "AUTO: ", and goes with the trouble.
    """
    # In this order: to MariaDB, a column that was set before has its new value.
    change: tuple[tuple[str, Any], ...]
    if status.trouble:
        reason = f"{AUTO}{status.trouble}"[:_REASON_LETTERS]
        change = (("disabled_reason", sa.case((Service.disabled & sa.not_(_IN_TROUBLE), Service.disabled_reason), else_=reason)),
                  ("disabled", True))
    else:
        change = (("disabled", sa.case((_IN_TROUBLE, sa.false()), else_=Service.disabled)),
                  ("disabled_reason", sa.case((_IN_TROUBLE, sa.null()), else_=Service.disabled_reason)), ("seen_at", now))
    changed = session.execute(sa.update(Service).where(
        Service.binary == status.binary, Service.agent == status.agent,
    ).ordered_values(*change).execution_options(synchronize_session=False))
    return int(changed.rowcount)  # type: ignore[attr-defined]


def register(session: Session, status: ServiceReport, *, names: list[str], now: datetime.datetime) -> None:
    """Make or update the rows of a daemon and of the compute hosts that it runs; three queries and what is new."""
    known = set(session.scalars(sa.select(Service.host).where(
        Service.binary == status.binary, Service.host.in_(names))))
    session.add_all(
        Service(binary=status.binary, host=name, agent=status.agent, availability_zone=status.availability_zone, seen_at=now,
                disabled=bool(status.trouble), disabled_reason=f"{AUTO}{status.trouble}"[:_REASON_LETTERS] if status.trouble else None)
        for name in names if name not in known)
    rows = {row.name: row for row in session.scalars(sa.select(Host).where(Host.name.in_(names)))}
    for inventory in status.inventories:
        row = rows.get(inventory.host)
        if row is None:
            row = Host(name=inventory.host)
            session.add(row)
        elif row.tunnel_ip != inventory.tunnel_ip:
            interfaces.move_tunnel(session, row.name)
        row.agent, row.availability_zone = status.agent, row.aggregate_zone or status.availability_zone
        for field in _FROM_INVENTORY:
            setattr(row, field, getattr(inventory, field))
        capabilities = to_wire(inventory.capabilities)
        if row.capabilities != capabilities:
            row.capabilities = capabilities


_FROM_INVENTORY = (
    "vcpus", "ram_mb", "disk_gb", "reserved_ram_mb", "reserved_disk_gb", "disk_free_gb", "architecture",
    "hypervisor_type", "hypervisor_version", "hypervisor_hostname", "virt_type", "virt_reason", "cpu_info", "host_ip",
    "tunnel_ip", "uptime", "pcpus", "hugepages_mb",
)
