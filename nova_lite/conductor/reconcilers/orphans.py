# SPDX-License-Identifier: Apache-2.0
"""Compares what hosts hold and what is claimed with the servers there are; removes what nobody owns, and shows which guests are gone."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor import answers, network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.context import system_context
from nova_lite.db import database_epoch
from nova_lite.db.base import utcnow
from nova_lite.db.compute import servers
from nova_lite.db.compute.actions import OPEN, Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims, hosts, observation
from nova_lite.db.hosts.hosts import Claim, Host
from nova_lite.db.network import floating_ips
from nova_lite.db.network.networks import Network
from nova_lite.lifecycle.servers import Power, Vm
from nova_lite.rpc.compute import ComputeRpc, OwnedGuests
from nova_lite.rpc.network import FloatingIpAssociation, NetworkRpc, OwnedNetworks
from nova_lite.rpc.order import LAST_SEQUENCE, Order

# An attempt that no action has.
_AFTER_ALL = 9999
# Of a server that has changed since, the host's answer may be older than the row.
_SETTLED = datetime.timedelta(seconds=20)
# An action of the server is under way.
IS_BUSY = sa.exists().where(Action.resource_id == Server.id, Action.state.in_(OPEN))
# Claims without a server, or of one that is elsewhere, with no action open that may be about to use them.
STRAY_CLAIMS: Any = sa.select(Claim).outerjoin(Server, Server.id == Claim.server_id).where(
    ~sa.exists().where(Action.resource_id == Claim.server_id, Action.state.in_(OPEN)),
    sa.or_(Server.id.is_(None), Server.deleted_at.is_not(None), Server.host.is_(None), Server.host != Claim.host))
LOG = logging.getLogger(__name__)


def remove(services: Services, host_calls: HostCalls) -> None:
    """Remove what deleted servers left there from those living hosts that are this conductor's."""
    with services.database.reader() as session:
        now = observation.observed(session, down_time_s=services.conf.service_down_time)
        alive = [service for service in hosts.services(session) if hosts.is_alive(
            service, now=now, down_time_s=services.conf.service_down_time)]
    # One of an earlier release does not know the request.
    workers = {(service.agent, service.binary) for service in alive if service.binary in (COMPUTE, NETWORK) and not service.is_outdated}
    host_calls.run({agent: functools.partial(_clean_host, services, agent, sorted(binary for name, binary in workers if name == agent))
                    for agent in sorted({agent for agent, _ in workers}) if host_calls.owns(agent)})


def release_claims(services: Services) -> None:
    """Give back the stray claims."""
    with services.database.writer() as session:
        for claim in session.scalars(STRAY_CLAIMS).all():
            LOG.warning("server %s: its claim on host %s was left over and is given back", claim.server_id, claim.host)
            claims.release(session, server_id=claim.server_id, host=claim.host)


def _clean_host(services: Services, agent: str, binaries: Sequence[str]) -> None:
    for binary in binaries:
        try:
            _clean(services, agent, binary)
        except Exception:  # what breaks with one worker keeps nothing from the others
            LOG.exception("%s on %s could not be compared", binary, agent)


def _clean(services: Services, agent: str, binary: str) -> None:
    ctxt = system_context()
    try:
        expected = _expected(services, agent, binary)
        owned = _worker(services, agent, binary).owned_unless(ctxt, digest=expected.digest)
        answers.check_owned(owned)
        if isinstance(owned, OwnedGuests) and not owned.is_as_expected:
            _show_missing(services, agent, set(expected.server_ids).difference(owned.server_ids))
        for server_id, order in left_over(services, owned.server_ids, agent, binary):
            LOG.warning("server %s: %s on %s still has it and removes it now", server_id, binary, agent)
            if binary == COMPUTE:
                services.compute(agent).destroy(ctxt, server_id=server_id, order=order)
            else:
                services.network(agent).release_server(ctxt, server_id=server_id, order=order)
        if isinstance(owned, OwnedNetworks):
            _clean_networks(services, agent, owned.network_ids)
            if not owned.is_as_expected:
                _correct_floating(services, agent, owned.floating)
    except errors.NovaLiteError as error:
        LOG.info("%s on %s could not be compared now: %s", binary, agent, error.text)


def _expected(services: Services, agent: str, binary: str) -> OwnedGuests | OwnedNetworks:
    """What the worker has when it has all that the rows have there, and nothing else; then there is nothing to remove or correct.

    Networks are not in it: a host keeps them when their last server has gone.
    """
    of_worker = sa.select(Host.name).where(Host.agent == agent)
    with services.database.reader() as session:
        server_ids = tuple(session.scalars(sa.select(Server.id).where(
            Server.host.in_(of_worker), Server.deleted_at.is_(None), Server.agent == agent)))
        if binary == COMPUTE:
            return OwnedGuests(server_ids=server_ids)
        floating = floating_ips.leading_to(session, agent)
    return OwnedNetworks(network_ids=(), server_ids=server_ids, floating=tuple(
        FloatingIpAssociation(server_id=server_id, address=address, fixed_address=fixed) for server_id, address, fixed in floating))


def at_rest_on(agent: str, settled: datetime.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Conditions of the servers that a worker of that name must have, unless their rows have changed since."""
    return (Server.agent == agent, Server.deleted_at.is_(None), ~IS_BUSY, Server.updated_at < settled,
            Server.vm_state.not_in((str(Vm.ERROR), str(Vm.BUILDING))))


def _show_missing(services: Services, agent: str, server_ids: set[str]) -> None:
    """Show NOSTATE, as Nova does, of servers at rest that the rows have there and the host does not. A power report of the guest ends it."""
    if not server_ids:
        return
    with services.database.writer() as session:
        missing = session.scalars(sa.select(Server.id).where(
            *at_rest_on(agent, utcnow() - _SETTLED), Server.id.in_(server_ids), Server.power_state != int(Power.NOSTATE))).all()
        for server_id in missing:
            if servers.sync_power(session, server_id, power_state=int(Power.NOSTATE), vm_state=None):
                LOG.warning("server %s: nova-compute on %s does not have its guest; see nova-lite audit", server_id, agent)


def _clean_networks(services: Services, agent: str, held: tuple[str, ...]) -> None:
    """Remove networks that no row knows, as after a delete while the host was down.

    Should the rows be another cloud's, nothing is lost: a worker keeps what its servers use, and makes a network anew
    when a server needs it.
    """
    if not held:
        return
    with services.database.reader() as session:
        known = set(session.scalars(sa.select(Network.id).where(Network.id.in_(held))))
    for network_id in sorted(set(held) - known):
        LOG.warning("network %s: nova-network on %s still held it and removes it now", network_id, agent)
        services.network(agent).remove_network(system_context(), network_id=network_id)


def _correct_floating(services: Services, agent: str, held: tuple[FloatingIpAssociation, ...]) -> None:
    """Refresh servers whose floating addresses the host has otherwise than the rows: a push was lost."""
    known = {(one.server_id, one.address, one.fixed_address) for one in held}
    with services.database.reader() as session:
        differing = {server_id for server_id, _, _ in known ^ floating_ips.leading_to(session, agent)}
    if differing:
        LOG.warning("servers %s: their floating addresses differ on %s and are sent again", ", ".join(sorted(differing)), agent)
        network_sync.refresh_servers(services, differing)


def left_over(services: Services, server_ids: tuple[str, ...], agent: str, binary: str) -> list[tuple[str, Order]]:
    """Those of the servers that are deleted, or on another host, with no action open; with an order after all that were sent about them.

    A server that no row knows is never touched: this may not be its database. One that the rows have on another host is
    not either until that host says that it has it: this worker may be the same one by a new name.
    """
    if not server_ids:
        return []
    with services.database.reader() as session:
        last = sa.select(sa.func.max(Action.id)).where(Action.resource_id == Server.id).scalar_subquery()
        query = sa.select(Server.id, sa.case((Server.deleted_at.is_(None), Server.agent)), last).where(
            Server.id.in_(server_ids), ~IS_BUSY,
            sa.or_(Server.deleted_at.is_not(None), Server.agent.is_(None), Server.agent != agent))
        epoch = database_epoch.current(session)
        found = session.execute(query).all()
    placed: dict[str, list[str]] = {}
    for server_id, elsewhere, _ in found:
        if elsewhere:
            placed.setdefault(elsewhere, []).append(server_id)
    there = {elsewhere: held(services, elsewhere, binary, of_host) for elsewhere, of_host in placed.items()}
    return [(server_id, Order(epoch=epoch, action=int(last_id or 0), attempt=_AFTER_ALL, sequence=LAST_SEQUENCE))
            for server_id, elsewhere, last_id in found if elsewhere is None or server_id in there[elsewhere]]


def held(services: Services, agent: str, binary: str, server_ids: Iterable[str]) -> frozenset[str]:
    """Those of the servers that the host has; none if it is down, or does not answer."""
    requested = tuple(server_ids)
    if services.is_down(binary, agent):
        return frozenset()
    try:
        there = _worker(services, agent, binary).owned_among(system_context(), server_ids=requested)
        answers.check_ids(there, most=len(requested))
        return frozenset(requested).intersection(there)
    except errors.NovaLiteError as error:
        LOG.info("%s on %s: servers that it should have stay where they are: %s", binary, agent, error.text)
        return frozenset()
    except Exception as error:  # what a worker raises comes as it is or as RemoteError, and concerns this host only
        LOG.warning("%s on %s: servers that it should have stay where they are, since it failed", binary, agent, exc_info=error)
        return frozenset()


def _worker(services: Services, agent: str, binary: str) -> ComputeRpc | NetworkRpc:
    return services.compute(agent) if binary == COMPUTE else services.network(agent)
