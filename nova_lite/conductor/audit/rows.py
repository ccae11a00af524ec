# SPDX-License-Identifier: Apache-2.0
"""The audit of rows: what the database says about one thing in two places. Rows are read in pages."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from nova_lite.conductor.audit import kinds
from nova_lite.conductor.reconcilers import orphans
from nova_lite.db.compute import server_migrations
from nova_lite.db.compute.actions import OPEN, WAITING, Action
from nova_lite.db.compute.server_migrations import ServerMigration
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims
from nova_lite.db.hosts.hosts import Claim
from nova_lite.db.network import floating_ips, routers
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.network_changes import NetworkChange
from nova_lite.db.network.ports import Port
from nova_lite.db.network.routers import Router
from nova_lite.hardware import resource_request
from nova_lite.lifecycle.servers import Vm
from nova_lite.rpc.audit import AuditFinding

IS_THERE = (Server.deleted_at.is_(None), ~orphans.IS_BUSY)
_PAGE = 1000


@dataclasses.dataclass(frozen=True)
class Limits:
    """`now` is the database's; what is younger than `settled` is left out; `deadline_s` of an action by its name."""

    now: datetime.datetime
    settled: datetime.datetime
    deadline_s: Callable[[str], float]


def check(session: Session, limits: Limits) -> Iterator[AuditFinding]:
    """Everything that rows disagree about."""
    for one in (_claim_sums, _claims_without_server, _servers_claims, _ports_of_nothing, _port_bindings, _addresses, _floating_ips):
        yield from one(session)
    yield from _network_changes(session, limits)
    yield from _actions(session, limits)
    yield from _tasks(session)


def _paged(session: Session, query: Any, *keys: Any) -> Iterator[Any]:  # a query of SQLAlchemy, columns and rows
    """The rows of the query, a page at a time, by columns that no two rows share."""
    query = query.add_columns(*keys).order_by(*keys).limit(_PAGE)
    page = session.execute(query).all()
    while page:
        yield from page
        if len(page) < _PAGE:
            return
        last = tuple(page[-1][-len(keys):])
        page = session.execute(query.where(keys[0] > last[0] if len(keys) == 1 else sa.tuple_(*keys) > last)).all()


def _claim_sums(session: Session) -> Iterator[AuditFinding]:
    for one in claims.inconsistent_hosts(session):
        yield kinds.CLAIM_SUMS.found(one.host, f"its row has {one.row}; its claims add up to {one.claims}", host=one.host)


def _claims_without_server(session: Session) -> Iterator[AuditFinding]:
    for claim, *_ in _paged(session, orphans.STRAY_CLAIMS, Claim.server_id, Claim.host):
        yield kinds.CLAIM_WITHOUT_SERVER.found(
            claim.server_id, f"{claims.text(claim.resources)} claimed for a server that is not there", host=claim.host)


def _servers_claims(session: Session) -> Iterator[AuditFinding]:
    is_moving = sa.exists().where(ServerMigration.server_id == Server.id, ServerMigration.status.not_in(server_migrations.ENDS))
    columns = (Server.id, Server.host, Server.flavor, Server.image_properties, Server.vcpus, Server.ram_mb, Server.total_gb)
    query = sa.select(*columns, Claim).outerjoin(Claim, sa.and_(Claim.server_id == Server.id, Claim.host == Server.host)).where(
        *IS_THERE, Server.host.is_not(None), ~is_moving)
    for server_id, host, flavor, image, vcpus, ram_mb, total_gb, claim, _ in _paged(session, query, Server.id):
        if claim is None:
            yield kinds.SERVER_WITHOUT_CLAIM.found(server_id, "the server is on the host and claims nothing there", host=str(host))
            continue
        required = resource_request.of(specs=flavor.extra_specs, image=dict(image), vcpus=vcpus, ram_mb=ram_mb, disk_gb=total_gb).resources
        if claim.resources != required:
            yield kinds.CLAIM_SIZE.found(
                server_id, f"it claims {claims.text(claim.resources)}, and takes {claims.text(required)}", host=str(host))


def _ports_of_nothing(session: Session) -> Iterator[AuditFinding]:
    is_lost = sa.or_(
        sa.and_(Port.device_owner.startswith("compute:"), Port.device_id != "",
                ~sa.exists().where(Server.id == Port.device_id, Server.deleted_at.is_(None))),
        sa.and_(Port.device_owner == floating_ips.OWNER, ~sa.exists().where(FloatingIp.plug_id == Port.id)),
        sa.and_(Port.device_owner.in_((routers.INTERFACE, routers.GATEWAY)), ~sa.exists().where(Router.id == Port.device_id)))
    for port, _ in _paged(session, sa.select(Port).where(is_lost), Port.id):
        yield kinds.PORT_OWNER.found(port.id, f"it belongs to {port.device_owner} {port.device_id}, which is not there", host=port.host or "")


def _port_bindings(session: Session) -> Iterator[AuditFinding]:
    differs = sa.func.coalesce(Port.host, "") != sa.func.coalesce(Server.host, "")
    query = sa.select(Port.id, Port.host, Server.id, Server.host).join(Server, Server.id == Port.device_id).where(*IS_THERE, differs)
    for port_id, bound_to, server_id, host, _ in _paged(session, query, Port.id):
        yield kinds.PORT_BINDING.found(
            port_id, f"it is bound to {bound_to or 'no host'}, and its server {server_id} is on {host or 'no host'}", host=host or "")


def _addresses(session: Session) -> Iterator[AuditFinding]:
    twice = sa.select(Port.network_id, Address.address, sa.func.count()).join(Address, Address.port_id == Port.id).group_by(
        Port.network_id, Address.address).having(sa.func.count() > 1)
    for network_id, address, count, *_ in _paged(session, twice, Port.network_id, Address.address):
        yield kinds.ADDRESS_TWICE.found(network_id, f"{count} ports of the network have the address {address}")
    floating = sa.select(FloatingIp.network_id, FloatingIp.address, sa.func.count()).group_by(
        FloatingIp.network_id, FloatingIp.address).having(sa.func.count() > 1)
    for network_id, address, count, *_ in _paged(session, floating, FloatingIp.network_id, FloatingIp.address):
        yield kinds.ADDRESS_TWICE.found(network_id, f"{count} floating IPs have the address {address}")


def _floating_ips(session: Session) -> Iterator[AuditFinding]:
    target, plug = aliased(Address), aliased(Address)
    leads = sa.exists().where(target.port_id == FloatingIp.port_id, target.address == FloatingIp.fixed_address)
    is_held = sa.exists().where(plug.port_id == FloatingIp.plug_id, plug.address == FloatingIp.address)
    query = sa.select(FloatingIp).where(sa.or_(sa.and_(FloatingIp.port_id.is_not(None), ~leads), ~is_held))
    for floating, _ in _paged(session, query, FloatingIp.id):
        yield kinds.FLOATING_IP_TARGET.found(
            floating.id, f"{floating.address} leads to {floating.fixed_address} of port {floating.port_id}; one of the ports lacks its address")


def _network_changes(session: Session, limits: Limits) -> Iterator[AuditFinding]:
    for change, _ in _paged(session, sa.select(NetworkChange).where(NetworkChange.created_at < limits.settled), NetworkChange.id):
        yield kinds.NETWORK_CHANGE.found(change.resource_id, f"its change ({change.kind}) of {change.created_at:%H:%M:%S} UTC is sent to no host")


def _actions(session: Session, limits: Limits) -> Iterator[AuditFinding]:
    is_free = sa.or_(Server.id.is_(None), Server.deleted_at.is_not(None), sa.and_(Server.task_state.is_(None), Server.updated_at < limits.settled))
    query = sa.select(Action, is_free).outerjoin(Server, Server.id == Action.resource_id).where(
        Action.state.in_((*OPEN, WAITING)), Action.start_time < limits.settled)
    for action, has_free_server, _ in _paged(session, query, Action.id):
        name = f"{action.name} of {action.start_time:%H:%M:%S} UTC (action {action.id})"
        if action.state == WAITING:
            if has_free_server:
                yield kinds.ACTION_WAITING.found(action.resource_id, f"{name} waits, and nothing is under way")
        elif action.awaiting_step is None and _is_over(limits, action.lease_until, action.updated_at, action.wake_at):
            yield kinds.ACTION_ABANDONED.found(action.resource_id, f"{name} is {action.state}, and no conductor works on it")
        elif (limits.now - action.start_time).total_seconds() > limits.deadline_s(action.name):
            where = f", waits for {action.awaiting_step} on {action.awaiting_host}" if action.awaiting_step else ""
            yield kinds.ACTION_LATE.found(action.resource_id, f"{name} is {action.state}{where}, past its deadline", host=action.awaiting_host or "")


def _is_over(limits: Limits, *moments: datetime.datetime | None) -> bool:
    return all(moment is None or moment < limits.settled for moment in moments)


def _tasks(session: Session) -> Iterator[AuditFinding]:
    waits = sa.exists().where(Action.resource_id == Server.id, Action.state == WAITING)
    is_between = sa.or_(Server.task_state.is_not(None), Server.vm_state == str(Vm.BUILDING))
    for server, _ in _paged(session, sa.select(Server).where(*IS_THERE, ~waits, is_between), Server.id):
        yield kinds.TASK_WITHOUT_ACTION.found(
            server.id, f"it is {server.vm_state}, task state {server.task_state}, and no action is open", host=server.host or "")
