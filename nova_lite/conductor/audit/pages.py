# SPDX-License-Identifier: Apache-2.0
"""Compares a page of what a worker has with the rows: one session, as many statements whatever the page has."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.conductor import network_sync
from nova_lite.conductor.audit import kinds
from nova_lite.conductor.audit.rows import IS_THERE, Limits
from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK
from nova_lite.conductor.reconcilers import orphans
from nova_lite.db.compute.servers import Server
from nova_lite.db.network import floating_ips
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from nova_lite.lifecycle.servers import FOLLOWS_POWER, SHOWS_POWER, Vm, vm_state_of
from nova_lite.payloads import forwarding
from nova_lite.rpc.audit import AuditFinding
from nova_lite.rpc.compute import GuestAudit
from nova_lite.rpc.network import NetworkAudit

_KNOWN = (Server.id, Server.agent, Server.host, Server.deleted_at, Server.vm_state, Server.task_state, Server.power_state, Server.updated_at,
          orphans.IS_BUSY.label("is_busy"))
_WITH_POWER = frozenset(str(vm) for vm in FOLLOWS_POWER | SHOWS_POWER)


@dataclasses.dataclass(frozen=True)
class Page:
    """What the worker `agent` has whose ids sort after `after`, up to the page's own end."""

    agent: str
    after: str
    holds: GuestAudit | NetworkAudit

    @property
    def binary(self) -> str:
        return NETWORK if isinstance(self.holds, NetworkAudit) else COMPUTE

    def covers(self, column: Any) -> tuple[Any, ...]:  # a column and conditions of SQLAlchemy
        """Of rows that the worker would have in this page, and in no other. UUIDs sort alike here and in every database."""
        return (column > self.after, *((column <= self.holds.next,) if self.holds.next else ()))


@dataclasses.dataclass
class Compared:
    """`elsewhere`: servers that the rows have on another worker's host, by that worker and with their host: has it them too?"""

    findings: list[AuditFinding] = dataclasses.field(default_factory=list)
    elsewhere: dict[str, dict[str, str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(dict))


def compare(session: Session, page: Page, limits: Limits) -> Compared:
    """Everything that the page and the rows disagree about."""
    compared = Compared()
    rows = {row.id: row for row in session.execute(sa.select(*_KNOWN).where(Server.id.in_(page.holds.server_ids)))}
    for server_id in page.holds.server_ids:
        row = rows.get(server_id)
        if row is None:
            compared.findings.append(kinds.UNKNOWN_SERVER.found(server_id, f"{page.binary} has it, and no row does", host=page.agent))
        elif row.is_busy or (row.agent == page.agent and row.deleted_at is None):
            continue
        elif row.deleted_at is not None:
            compared.findings.append(left_over(page, server_id, ""))
        elif row.agent is None:
            compared.findings.append(left_over(page, server_id, "no host"))
        else:
            compared.elsewhere[row.agent][server_id] = row.host or "no host"
    if isinstance(page.holds, GuestAudit):
        compared.findings += _missing(session, page, limits, kinds.GUEST_MISSING)
        compared.findings += _powers(page, page.holds.powers, rows, limits)
        return compared
    if page.holds.is_lasting:
        compared.findings += _missing(session, page, limits, kinds.NETWORK_MISSING)
    compared.findings += _networks(session, page, page.holds)
    compared.findings += _floating(session, page, page.holds)
    compared.findings += _forwarding(session, page, page.holds, limits)
    return compared


def left_over(page: Page, server_id: str, host: str) -> AuditFinding:
    """The worker has a server that is on another host, or, without one, deleted."""
    return kinds.LEFT_OVER.found(server_id, f"{page.binary} has it, and the server is {f'on {host}' if host else 'deleted'}", host=page.agent)


def misplaced(page: Page, server_id: str, host: str) -> AuditFinding:
    """The worker has a server that the rows have on a host which does not have it."""
    return kinds.MISPLACED.found(
        server_id, f"{page.binary} has it, and the server is on {host}, which does not say that it has it", host=page.agent)


def _missing(session: Session, page: Page, limits: Limits, kind: kinds.Kind) -> Iterator[AuditFinding]:
    """Servers that the rows have there and the worker does not."""
    held = frozenset(page.holds.server_ids)
    expected = session.execute(sa.select(Server.id, Server.host).where(
        *orphans.at_rest_on(page.agent, limits.settled), *page.covers(Server.id)))
    for server_id, host in expected:
        if server_id not in held:
            yield kind.found(server_id, f"the server is on this host, and {page.binary} does not have it", host=host or page.agent)


def _powers(page: Page, powers: dict[str, int], rows: dict[str, Any], limits: Limits) -> Iterator[AuditFinding]:
    """Servers at rest whose state shows another power than their guest has."""
    for server_id, power in powers.items():
        row = rows.get(server_id)
        if (row is not None and row.agent == page.agent and row.deleted_at is None and not row.is_busy and row.task_state is None
                and row.updated_at < limits.settled and row.vm_state in _WITH_POWER and _differs(Vm(row.vm_state), row.power_state, power)):
            yield kinds.POWER.found(
                server_id, f"it shows {row.vm_state} with power state {row.power_state}, and its guest has {power}", host=row.host or "")


def _differs(vm_state: Vm, shown: int, power: int) -> bool:
    leads_to = vm_state_of(power)
    return shown != power or (vm_state in FOLLOWS_POWER and leads_to is not None and leads_to != vm_state)


def _networks(session: Session, page: Page, owned: NetworkAudit) -> Iterator[AuditFinding]:
    known = set(session.scalars(sa.select(Network.id).where(Network.id.in_(owned.network_ids))))
    for network_id in sorted(set(owned.network_ids) - known):
        yield kinds.NETWORK_WITHOUT_ROW.found(network_id, "nova-network has it, and no row does", host=page.agent)


def _floating(session: Session, page: Page, owned: NetworkAudit) -> Iterator[AuditFinding]:
    held = {(one.server_id, one.address, one.fixed_address) for one in owned.floating}
    known = floating_ips.leading_to(session, page.agent, *page.covers(Port.device_id))
    differing = held ^ known if owned.is_lasting else held - known
    if not differing:
        return
    at_rest = set(session.scalars(sa.select(Server.id).where(*IS_THERE, Server.id.in_([server_id for server_id, _, _ in differing]))))
    for one in sorted(differing):
        server_id, address, fixed = one
        if server_id in at_rest:
            where = "on the host, and not in the rows" if one in held else "in the rows, and not on the host"
            yield kinds.FLOATING_IP_ON_HOST.found(server_id, f"floating IP {address} to {fixed} is {where}", host=page.agent)


def _forwarding(session: Session, page: Page, owned: NetworkAudit, limits: Limits) -> Iterator[AuditFinding]:
    """Networks of which the host knows an old state. What it does not know at all it floods, which is not wrong."""
    if not owned.forwarding:
        return
    settled = network_sync.revision_of(limits.settled)
    for network_id, revision in sorted(forwarding.revisions_of_agent(session, page.agent, sorted(owned.forwarding)).items()):
        if revision < settled and owned.forwarding[network_id] != revision:
            yield kinds.FORWARDING_BEHIND.found(
                network_id, f"the host knows where its ports are as of revision {owned.forwarding[network_id]}, and the rows are at {revision}",
                host=page.agent)
