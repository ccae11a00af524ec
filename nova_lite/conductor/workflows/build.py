# SPDX-License-Identifier: Apache-2.0
"""Build: from a server's row to a guest that runs."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import NETWORK, ControlStep, Deadline, HostStep, HostUndo, Run, Workflow
from nova_lite.conductor.steps import faults, volume_connections
from nova_lite.conductor.steps.find_host import W
from nova_lite.db.compute import servers
from nova_lite.db.hosts import claims
from nova_lite.db.network import interfaces, ports
from nova_lite.lifecycle.servers import Power
from nova_lite.payloads import guest, placement
from nova_lite.payloads.guest import DescribedServer
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.values.instance_metadata import names_devices

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Tried:
    """A host that could not run the guest, and why."""

    host: str
    reason: str


@dataclasses.dataclass(frozen=True)
class BuildState:
    """`agent`: the host's workers on the message bus. `tried`: by earlier attempts. `admin_pass`: sealed.

    `request`: as the API made it of the rows that it wrote; None: release 0.1 made the action. `has_volumes`: the server does.
    """

    host: str = ""
    agent: str = ""
    zone: str = ""
    tried: tuple[Tried, ...] = ()
    admin_pass: str | None = None
    request: PlacementRequest | None = None
    has_volumes: bool = False


BuildRun = Run[BuildState]
B = TypeVar("B", bound=BuildState)


def pick_host(services: Services, run: BuildRun) -> BuildState:
    """Have a scheduler pick and claim a host, once the server's volumes are made."""
    request = run.state.request
    if request is None:
        with services.database.reader() as session:
            request = placement.request(session, servers.row(session, run.resource_id))
    if run.state.has_volumes:
        with services.database.reader() as session:
            request = dataclasses.replace(request, volume_agent=volume_connections.required_agent(session, run.resource_id))
    excluded = tuple(tried.host for tried in run.state.tried)
    picked = services.scheduler.pick_host(run.ctxt, request=dataclasses.replace(request, excluded=excluded))
    return dataclasses.replace(run.state, host=picked.host, agent=picked.agent, zone=picked.availability_zone)


def record_host(session: Session, run: BuildRun) -> None:
    servers.place(session, run.resource_id, host=run.state.host, agent=run.state.agent, availability_zone=run.state.zone,
                  task=("scheduling", "spawning"))
    ports.plug(session, run.resource_id, host=run.state.host, is_up=False)


def release_claim(services: Services, run: Run[B]) -> None:
    """The host gets back what was claimed; the ports are on none. Where the claim's answer was lost, any host has it."""
    with services.database.writer() as session:
        claims.release(session, server_id=run.resource_id, host=run.state.host or None)
        interfaces.leave_host(session, run.resource_id)


def prepare_network(services: Services, run: Run[B]) -> None:
    """Bridge, DHCP entry, filter and metadata are on the host before the guest is."""
    # What was read may be of an earlier epoch than the request.
    services.network(run.state.agent).prepare_server(
        run.ctxt, ports=dataclasses.replace(_described(services, run).ports, order=run.order))


def _described(services: Services, run: Run[B]) -> DescribedServer:
    """The server, its image and its ports; read once for the steps of an attempt that this conductor carries out."""

    def read() -> DescribedServer:
        with services.database.reader() as session:
            return guest.read(session, services.environment, run.resource_id, order=run.order)

    return services.described.get(run.attempt_id, read)


def record_network(session: Session, run: BuildRun) -> None:
    """Other hosts of the networks are to reach this one."""
    network_sync.record_joined(session, run)


def notify_peers(services: Services, run: Run[B]) -> None:
    """What is recorded is pushed soon, unless the networks are on this host only, which has seen to it itself.

    A host that comes to them later reads that this one is there, and its own record has all that is pending pushed.
    """
    described = services.described.known(run.attempt_id)
    if described is None or described.has_peers:
        network_sync.changed(services, run)


def connect_volumes(services: Services, run: Run[B]) -> B:
    """The host reaches the server's volumes before the guest is there."""
    volume_connections.connect(services, run, host=run.state.host, agent=run.state.agent)
    services.described.forget(run.attempt_id)  # read before the volumes were connected
    return run.state


def disconnect_volumes(services: Services, run: Run[B]) -> None:
    volume_connections.disconnect(services, run)


def uses_volumes(run: Run[B]) -> bool:
    return run.state.has_volumes


def release_network(services: Services, run: Run[W]) -> None:
    """The host forgets the server's ports."""
    services.network(str(run.state.agent)).release_server(run.ctxt, server_id=run.resource_id, order=run.order)


def start_guest(services: Services, run: BuildRun) -> None:
    """Image, disks, config drive and domain, all by the host's compute worker."""
    described = guest.describe_built(services.environment, _described(services, run), admin_pass=run.state.admin_pass)
    services.compute(run.state.agent).build(run.ctxt, order=run.order, guest=described)


def record_guest(session: Session, run: BuildRun) -> None:
    ports.plug(session, run.resource_id, host=run.state.host, is_up=True)
    servers.finish(session, run.resource_id, "create", power_state=int(Power.RUNNING))
    if run.state.has_volumes:
        volume_connections.record_attached(session, run.resource_id)


def notify_device_addresses(services: Services, run: BuildRun) -> None:
    """Where tagged devices are is known now that the guest is defined."""
    documents = _described(services, run).ports.documents
    services.described.forget(run.attempt_id)
    if names_devices(documents):
        services.conductor.refresh_documents(run.ctxt, server_id=run.resource_id)


def destroy_guest(services: Services, run: Run[W]) -> None:
    """The guest and all it has leave the host."""
    services.compute(str(run.state.agent)).destroy(run.ctxt, server_id=run.resource_id, order=run.order)


def try_another_host(services: Services, run: BuildRun, error: errors.NovaLiteError) -> BuildState | None:
    """A host that failed is not tried again; a placement that failed is final."""
    if not run.state.host:
        return None
    state = without_host(run, run.state, error)
    return state if run.attempt < services.conf.conductor.build_attempts else None


def without_host(run: Run[B], state: B, error: errors.NovaLiteError) -> B:
    """The state of the next attempt."""
    LOG.warning("server %s: host %s could not run it: %s", run.resource_id, state.host, error.text)
    return dataclasses.replace(state, host="", agent="", zone="", tried=(*state.tried, Tried(state.host, error.text)))


def set_fault(session: Session, run: BuildRun, error: errors.NovaLiteError) -> None:
    """The fault says what happened on each host tried."""
    servers.place(session, run.resource_id, host=None, agent=None, availability_zone=None)
    servers.abandon(session, run.resource_id, "create", fault=_fault(run, error), is_fatal=True)


def _fault(run: BuildRun, error: errors.NovaLiteError) -> dict[str, Any]:
    tried = run.state.tried
    if run.state.host:
        tried = (*tried, Tried(run.state.host, error.text))
    reasons = [one.reason for one in tried if one.reason != error.text]
    text = error.text if not reasons else f"{error.text} Tried before: {'; '.join(reasons)}"
    return faults.fault(text, details="; ".join(f"{one.host}: {one.reason}" for one in tried))


BUILD = Workflow(
    "build", BuildState,
    (
        ControlStep("pick_host", pick_host, record=record_host, undo=release_claim),
        HostStep("prepare_network", lambda run: run.state.agent, prepare_network, binary=NETWORK, record=record_network,
                 after=notify_peers, undo=HostUndo(release_network)),
        ControlStep("connect_volumes", connect_volumes, needed=uses_volumes, undo=disconnect_volumes),
        HostStep("start_guest", lambda run: run.state.agent, start_guest, record=record_guest, after=notify_device_addresses,
                 undo=HostUndo(destroy_guest)),
    ),
    again=try_another_host, failed=set_fault, deadline=Deadline.BUILD,
)
