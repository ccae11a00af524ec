# SPDX-License-Identifier: Apache-2.0
"""The audit of hosts: what workers have and find on their hosts, compared with the rows."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterable, Iterator

import oslo_messaging as messaging
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.audit import kinds
from nova_lite.conductor.audit.rows import IS_THERE, Limits
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK
from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.context import system_context
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts, observation
from nova_lite.db.network import floating_ips
from nova_lite.db.network.networks import Network
from nova_lite.lifecycle.servers import FOLLOWS_POWER, SHOWS_POWER, Vm, vm_state_of
from nova_lite.rpc.audit import AuditFinding, HostAudit
from nova_lite.rpc.compute import OwnedGuests
from nova_lite.rpc.network import OwnedNetworks

# A worker that has not answered by then is not checked.
ROUND_S = 40.0


@dataclasses.dataclass(frozen=True)
class _Answer:
    """What a worker has, and what it found."""

    owned: OwnedGuests | OwnedNetworks
    audit: HostAudit


class _Answers:
    """The answers of workers by (binary, agent), or why there is none; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.of: dict[tuple[str, str], _Answer] = {}
        self.refused: dict[tuple[str, str], str] = {}

    def add(self, worker: tuple[str, str], answer: _Answer | None, reason: str = "") -> None:
        with self._lock:
            if answer is None:
                self.refused[worker] = reason
            else:
                self.of[worker] = answer


def check(services: Services, limits: Limits) -> list[AuditFinding]:
    """Call every worker that lives, side by side, and compare; those that are not heard are findings too."""
    with services.database.reader() as session:
        now = observation.observed(session, down_time_s=services.conf.service_down_time)
        workers = {(service.binary, service.agent): hosts.is_alive(service, now=now, down_time_s=services.conf.service_down_time)
                   for service in hosts.services(session) if service.binary in (COMPUTE, NETWORK)}
    answers = _Answers()
    alive = [worker for worker, is_alive in sorted(workers.items()) if is_alive]
    HostCalls(round_s=ROUND_S).run({" on ".join(worker): functools.partial(_call, services, answers, worker) for worker in alive})
    found = []
    for worker, is_alive in sorted(workers.items()):
        binary, agent = worker
        answer = answers.of.get(worker)
        if answer is None:
            reason = answers.refused.get(worker, "no answer in time") if is_alive else "it is down"
            found.append(kinds.NOT_CHECKED.found(agent, f"{binary}: {reason}", host=agent))
            continue
        found += answer.audit.findings
        found += _servers(services, worker, answer.owned.server_ids)
        if answer.audit.is_lasting:
            found += _missing(services, limits, worker, answer.owned.server_ids)
        if isinstance(answer.owned, OwnedNetworks):
            found += _networks(services, agent, answer.owned, is_lasting=answer.audit.is_lasting)
        else:
            found += _powers(services, limits, agent, answer.audit.powers)
    return found


def _call(services: Services, answers: _Answers, worker: tuple[str, str]) -> None:
    binary, agent = worker
    client = services.compute(agent) if binary == COMPUTE else services.network(agent)
    try:
        answers.add(worker, _Answer(client.owned(system_context()), client.audit_host(system_context())))
    except errors.NovaLiteError as error:
        answers.add(worker, None, error.text)
    except messaging.MessagingException as error:
        answers.add(worker, None, str(error))


def _servers(services: Services, worker: tuple[str, str], held: tuple[str, ...]) -> Iterator[AuditFinding]:
    """Servers that the worker has and the rows do not have there."""
    binary, agent = worker
    with services.database.reader() as session:
        known = {row.id: row for row in session.execute(sa.select(
            Server.id, Server.agent, Server.host, Server.deleted_at).where(Server.id.in_(held)))}
        misplaced = set(session.scalars(sa.select(Server.id).where(
            *IS_THERE, Server.id.in_(held), sa.func.coalesce(Server.agent, "") != agent)))
    gone = {server_id for server_id, _ in orphans.left_over(services, held, agent, binary)}
    for server_id in held:
        row = known.get(server_id)
        if row is None:
            yield kinds.UNKNOWN_SERVER.found(server_id, f"{binary} has it, and no row does", host=agent)
        elif server_id in gone:
            where = "deleted" if row.deleted_at is not None else f"on {row.host or 'no host'}"
            yield kinds.LEFT_OVER.found(server_id, f"{binary} has it, and the server is {where}", host=agent)
        elif server_id in misplaced:
            yield kinds.MISPLACED.found(server_id, f"{binary} has it, and the server is on {row.host}, which does not say that it has it", host=agent)


def _missing(services: Services, limits: Limits, worker: tuple[str, str], held: tuple[str, ...]) -> Iterator[AuditFinding]:
    """Servers that the rows have there and the worker does not."""
    binary, agent = worker
    with services.database.reader() as session:
        expected = session.execute(sa.select(Server.id, Server.host).where(
            *IS_THERE, Server.agent == agent, Server.updated_at < limits.settled,
            Server.vm_state.not_in([str(Vm.ERROR), str(Vm.BUILDING)]))).all()
    kind = kinds.GUEST_MISSING if binary == COMPUTE else kinds.NETWORK_MISSING
    for server_id, host in expected:
        if server_id not in held:
            yield kind.found(server_id, f"the server is on this host, and {binary} does not have it", host=host or agent)


def _networks(services: Services, agent: str, owned: OwnedNetworks, *, is_lasting: bool) -> Iterator[AuditFinding]:
    held = {(one.server_id, one.address, one.fixed_address) for one in owned.floating}
    with services.database.reader() as session:
        known = set(session.scalars(sa.select(Network.id).where(Network.id.in_(owned.network_ids))))
        known_there = floating_ips.leading_to(session, agent)
        differing = held ^ known_there if is_lasting else held - known_there
        at_rest = set(session.scalars(sa.select(Server.id).where(*IS_THERE, Server.id.in_([server_id for server_id, _, _ in differing]))))
    for network_id in sorted(set(owned.network_ids) - known):
        yield kinds.NETWORK_WITHOUT_ROW.found(network_id, "nova-network has it, and no row does", host=agent)
    for one in sorted(differing):
        server_id, address, fixed = one
        if server_id in at_rest:
            where = "on the host, and not in the rows" if one in held else "in the rows, and not on the host"
            yield kinds.FLOATING_IP_ON_HOST.found(server_id, f"floating IP {address} to {fixed} is {where}", host=agent)


def _powers(services: Services, limits: Limits, agent: str, powers: dict[str, int]) -> Iterator[AuditFinding]:
    """Servers at rest whose state shows another power than their guest has."""
    with services.database.reader() as session:
        rows = session.execute(sa.select(Server.id, Server.host, Server.vm_state, Server.power_state).where(
            *IS_THERE, Server.agent == agent, Server.task_state.is_(None), Server.updated_at < limits.settled,
            Server.vm_state.in_([str(vm) for vm in FOLLOWS_POWER | SHOWS_POWER]))).all()
    for row in rows:
        power = powers.get(row.id)
        if power is not None and _differs(Vm(row.vm_state), row.power_state, power):
            yield kinds.POWER.found(row.id, f"it shows {row.vm_state} with power state {row.power_state}, and its guest has {power}", host=row.host)


def _differs(vm_state: Vm, shown: int, power: int) -> bool:
    leads_to = vm_state_of(power)
    return shown != power or (vm_state in FOLLOWS_POWER and leads_to is not None and leads_to != vm_state)


def merged(first: Iterable[AuditFinding], second: Iterable[AuditFinding]) -> list[AuditFinding]:
    """What both have, as the second has it: what only one look saw was about to change."""
    seen = {(one.kind, one.resource, one.host) for one in first}
    return [one for one in second if (one.kind, one.resource, one.host) in seen]
