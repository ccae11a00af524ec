# SPDX-License-Identifier: Apache-2.0
"""What a workflow's steps act through: rows, the other services, and answers about who is alive."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.db.engine import Database
from nova_lite.db.hosts import hosts
from nova_lite.rpc.compute import ComputeRpc
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.network import NetworkRpc
from nova_lite.rpc.scheduler import SchedulerRpc

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Services:
    """Made once per conductor. `now` is UTC without a zone; `compute(agent)` is the worker that listens as `agent`.

    `image_token(project_id)` issues a short-lived token with which a worker fetches the project's images.
    `network_changed()` has what is recorded in network_changes pushed soon.
    """

    conf: cfg.ConfigOpts
    database: Database
    scheduler: SchedulerRpc
    conductor: ConductorRpc
    compute: Callable[[str], ComputeRpc]
    network: Callable[[str], NetworkRpc]
    now: Callable[[], datetime.datetime]
    image_token: Callable[[str], str]
    public_url: str
    network_changed: Callable[[], None]

    def is_alive(self, binary: str, agent: str) -> bool:
        """Whether the daemon has been heard of lately."""
        with self.database.reader() as session:
            found = [s for s in hosts.services(session, binary=binary) if s.agent == agent]
        return any(hosts.is_alive(s, now=self.now(), down_time_s=self.conf.service_down_time) for s in found)

    def unless_down(self, binary: str, agent: str, call: Callable[[], None]) -> None:
        """Call a worker for a clean-up; if it is down, leave that to the orphans reconciler.

        :raises errors.NovaLiteError: the worker is up and could not do it.
        """
        if not self.is_alive(binary, agent):
            LOG.warning("%s on %s is down: what it holds is cleaned up when it is back", binary, agent)
            return
        try:
            call()
        except errors.ServiceDown:
            if self.is_alive(binary, agent):
                raise
            LOG.warning("%s on %s went down: what it holds is cleaned up when it is back", binary, agent)


def over(
    transport: messaging.transport.RPCTransport, *, conf: cfg.ConfigOpts, database: Database,
    now: Callable[[], datetime.datetime], image_token: Callable[[str], str], network_changed: Callable[[], None],
) -> Services:
    """The services that is reached over the message bus."""
    return Services(
        conf=conf, database=database, now=now, image_token=image_token, network_changed=network_changed,
        scheduler=SchedulerRpc.client(transport), conductor=ConductorRpc.client(transport),
        compute=functools.cache(lambda agent: ComputeRpc.client(transport, host=agent)),
        network=functools.cache(lambda agent: NetworkRpc.client(transport, host=agent)),
        public_url=conf.api.public_url or f"http://{conf.api.listen}:{conf.api.port}",
    )
