# SPDX-License-Identifier: Apache-2.0
"""What a workflow's steps act through: rows, the other services, and answers about who is alive."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import threading
from collections.abc import Callable
from typing import Any

import oslo_messaging as messaging
import sqlalchemy as sa
from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run
from nova_lite.conductor.steps import faults, user_messages
from nova_lite.db.compute import servers
from nova_lite.db.compute.actions import SERVER, VOLUME, Action
from nova_lite.db.engine import Database
from nova_lite.db.hosts import hosts, observation
from nova_lite.db.volume import volumes
from nova_lite.payloads.environment import Environment
from nova_lite.payloads.guest import DescribedServer
from nova_lite.rpc.api import ApiRpc
from nova_lite.rpc.compute import ComputeRpc
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.network import NetworkRpc
from nova_lite.rpc.order import Order
from nova_lite.rpc.scheduler import SchedulerRpc
from nova_lite.rpc.volume import VolumeRpc
from nova_lite.runtime.ttl_cache import TtlCache

# How long it is believed which daemons are down, or of an earlier release.
_KNOWN_FOR_S = 1.0
# Servers whose description is remembered between two steps.
_DESCRIBED = 500
LOG = logging.getLogger(__name__)
# By binary and name on the bus.
_Workers = frozenset[tuple[str, str]]


class Described:
    """What was read of an attempt's server and its ports, by the attempt's number; bounded, and safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: collections.OrderedDict[int, DescribedServer] = collections.OrderedDict()

    def get(self, attempt_id: int, read: Callable[[], DescribedServer]) -> DescribedServer:
        """What is known, else what `read` gives."""
        with self._lock:
            known = self._known.get(attempt_id)
        if known is None:
            known = read()
            with self._lock:
                self._known[attempt_id] = known
                if len(self._known) > _DESCRIBED:
                    self._known.popitem(last=False)
        return known

    def known(self, attempt_id: int) -> DescribedServer | None:
        """What is known; None: nothing."""
        with self._lock:
            return self._known.get(attempt_id)

    def forget(self, attempt_id: int) -> None:
        with self._lock:
            self._known.pop(attempt_id, None)

    def clear(self) -> None:
        """Numbers of attempts may come again, since rows were lost."""
        with self._lock:
            self._known.clear()


@dataclasses.dataclass(frozen=True)
class Services:
    """Made once per conductor. `now` is UTC without a zone; `compute(agent)` is the worker that listens as `agent`.

    `environment`: what payloads for workers have of the cloud. `network_changed()` has what is recorded in network_changes pushed soon.
    """

    conf: cfg.ConfigOpts
    database: Database
    scheduler: SchedulerRpc
    conductor: ConductorRpc
    api: ApiRpc
    compute: Callable[[str], ComputeRpc]
    network: Callable[[str], NetworkRpc]
    volume: Callable[[str], VolumeRpc]
    now: Callable[[], datetime.datetime]
    environment: Environment
    network_changed: Callable[[], None]

    @functools.cached_property
    def _unusable(self) -> TtlCache[tuple[_Workers, _Workers]]:
        """The daemons that are down, and the workers of an earlier release."""
        def read() -> tuple[_Workers, _Workers]:
            down_time_s = self.conf.service_down_time
            with self.database.reader() as session:
                now, found = observation.observed(session, down_time_s=down_time_s), hosts.services(session)
                return (frozenset((service.binary, service.agent) for service in found if not hosts.is_alive(service, now=now, down_time_s=down_time_s)),
                        frozenset((service.binary, service.agent) for service in found if service.is_outdated))

        return TtlCache(read, seconds=_KNOWN_FOR_S)

    @functools.cached_property
    def described(self) -> Described:
        """Servers and their ports as read for a step, for the next one."""
        return Described()

    def worker(self, binary: str, agent: str) -> ComputeRpc | NetworkRpc | VolumeRpc:
        """The worker of that kind that listens as `agent`."""
        clients: dict[str, Callable[[str], ComputeRpc | NetworkRpc | VolumeRpc]] = {
            hosts.COMPUTE: self.compute, hosts.NETWORK: self.network, hosts.VOLUME: self.volume}
        return clients[binary](agent)

    def is_down(self, binary: str, agent: str) -> bool:
        """Whether the daemon is known to be down; one that never reported is not."""
        return (binary, agent) in self._unusable.get()[0]

    def is_outdated(self, binary: str, agent: str) -> bool:
        """Whether the worker is of an earlier release, which does not understand requests."""
        return (binary, agent) in self._unusable.get()[1]

    def set_fault(self, session: Session, resource_type: str, resource_id: str, error: errors.NovaLiteError) -> None:
        """The resource cannot be brought to rest: it shows ERROR and why."""
        if resource_type == SERVER:
            servers.set_fault(session, resource_id, faults.fault(error.text, details=error.text))
        elif resource_type == VOLUME:
            volumes.set_error(session, resource_id)

    def add_message(self, session: Session, name: str, run: Run[Any], error: errors.NovaLiteError) -> None:
        """The action of this name has failed: users of block storage get a message."""
        user_messages.record(session, self.conf, name, run, error)

    def has_issued(self, session: Session, order: Order) -> bool:
        """Whether the order is one of this database's actions."""
        found = session.execute(sa.select(Action.epoch, Action.nonce).where(Action.id == order.action)).one_or_none()
        return found is not None and (found.nonce == order.nonce or (order.nonce == "" and found.epoch >= order.epoch))


def over(
    transport: messaging.transport.RPCTransport, *, conf: cfg.ConfigOpts, database: Database,
    now: Callable[[], datetime.datetime], environment: Environment, network_changed: Callable[[], None],
) -> Services:
    """The services that are reached over the message bus."""
    return Services(
        conf=conf, database=database, now=now, environment=environment, network_changed=network_changed,
        scheduler=SchedulerRpc.client(transport), conductor=ConductorRpc.client(transport), api=ApiRpc.client(transport),
        compute=functools.cache(lambda agent: ComputeRpc.client(transport, host=agent)),
        network=functools.cache(lambda agent: NetworkRpc.client(transport, host=agent)),
        volume=functools.cache(lambda agent: VolumeRpc.client(transport, host=agent)),
    )
