# SPDX-License-Identifier: Apache-2.0
"""Queries of operators on compute hosts and services: load, guests, availability zones, and removal."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db import clock
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import aggregates
from nova_lite.db.hosts.hosts import COMPUTE, VOLUME, Claim, Host, Service, is_alive

INTERNAL = "internal"  # the availability zone of services that run no guests, as in Nova


class Load(NamedTuple):
    """Servers on a host, and how many of them have an action under way."""

    servers: int
    tasks: int


@dataclasses.dataclass(frozen=True)
class Hypervisor:
    """A compute host with its service (None: it has not reported yet, or is removed) and its load."""

    host: Host
    service: Service | None
    is_up: bool
    load: Load


def hypervisors(
    session: Session, *, down_time_s: float, host_id: str | None = None,
    number: int | None = None, name_part: str | None = None,
) -> list[Hypervisor]:
    """Compute hosts in the order in which they joined; `name_part` is somewhere in the name. Four queries."""
    query = sa.select(Host).order_by(Host.number)
    if host_id is not None:
        query = query.where(Host.id == host_id)
    if number is not None:
        query = query.where(Host.number == number)
    if name_part is not None:
        query = query.where(Host.hypervisor_hostname.contains(name_part, autoescape=True))
    found = list(session.scalars(query))
    names, now = [host.name for host in found], clock.read(session)
    daemons = {service.host: service for service in session.scalars(
        sa.select(Service).where(Service.binary == COMPUTE, Service.host.in_(names)))}
    loads = _loads(session, names)
    return [Hypervisor(host, daemons.get(host.name), _is_up(daemons.get(host.name), now, down_time_s),
                       loads.get(host.name, Load(0, 0))) for host in found]


def _is_up(service: Service | None, now: datetime.datetime, down_time_s: float) -> bool:
    return service is not None and is_alive(service, now=now, down_time_s=down_time_s)


def _loads(session: Session, names: Sequence[str]) -> dict[str, Load]:
    busy = sa.func.sum(sa.case((Server.task_state.is_not(None), 1), else_=0))
    query = sa.select(Server.host, sa.func.count(), busy).where(
        Server.host.in_(names), Server.deleted_at.is_(None)).group_by(Server.host)
    return {host: Load(int(count), int(tasks)) for host, count, tasks in session.execute(query) if host}


def guests(session: Session, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """By host: (domain name, server id) of each server there."""
    query = sa.select(Server.host, Server.number, Server.id).where(
        Server.host.in_(names), Server.deleted_at.is_(None)).order_by(Server.number)
    found: dict[str, list[tuple[str, str]]] = {}
    for host, number, server_id in session.execute(query):
        found.setdefault(str(host), []).append((f"instance-{number:08x}", server_id))
    return found


def claimed_by_project(session: Session, name: str) -> dict[str, tuple[int, int, int]]:
    """By project: CPUs, MiB of memory and GiB of disk that its servers have claimed on the host."""
    query = sa.select(
        Server.project_id, sa.func.sum(Claim.vcpus), sa.func.sum(Claim.ram_mb), sa.func.sum(Claim.disk_gb),
    ).join(Server, Server.id == Claim.server_id).where(Claim.host == name).group_by(Server.project_id)
    return {project_id: (int(vcpus), int(ram_mb), int(disk_gb))
            for project_id, vcpus, ram_mb, disk_gb in session.execute(query)}


def service(session: Session, *, host: str, binary: str) -> Service:
    """The service of this host and binary.

    :raises errors.NotFound: there is none.
    """
    found = session.scalars(sa.select(Service).where(Service.host == host, Service.binary == binary)).one_or_none()
    if found is None:
        raise errors.NotFound(f"Could not find binary {binary} on host {host}.")
    return found


def numbered(session: Session, number: int) -> Service:
    """The service with this id before 2.53.

    :raises errors.NotFound: there is none.
    """
    found = session.scalars(sa.select(Service).where(Service.number == number)).one_or_none()
    if found is None:
        raise errors.NotFound(f"Service {number} not found.")
    return found


def availability_zones(session: Session) -> dict[str, str]:
    """By compute host: its availability zone; one query."""
    return {name: az for name, az in session.execute(sa.select(Host.name, Host.availability_zone))}


def az_of(daemon: Service, azs: Mapping[str, str]) -> str:
    """The service's availability zone, given those of all hosts; services without guests are in `internal`."""
    return azs.get(daemon.host, daemon.availability_zone) if daemon.binary == COMPUTE else INTERNAL


def remove_service(session: Session, daemon: Service) -> None:
    """Delete a service, and with a nova-compute its host.

    :raises errors.Conflict: its host has servers.
    """
    if daemon.binary == COMPUTE and _loads(session, [daemon.host]):
        raise errors.Conflict(reason="Unable to delete compute service that is hosting instances. Migrate or "
                                     "delete the instances first.")
    session.delete(daemon)
    session.flush()  # a heartbeat and an operator's change take the service's row before its host's too
    if daemon.binary == COMPUTE:
        session.execute(sa.delete(Claim).where(Claim.host == daemon.host))
        session.execute(sa.delete(Host).where(Host.name == daemon.host))
        aggregates.forget_host(session, daemon.host)


def volume_zones(session: Session) -> set[str]:
    """The availability zones that have a volume worker."""
    return set(session.scalars(sa.select(Service.availability_zone).where(Service.binary == VOLUME).distinct()))
