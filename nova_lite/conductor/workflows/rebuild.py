# SPDX-License-Identifier: Apache-2.0
"""Rebuild: the guest starts over from an image, on its host, with its ports and its claim."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import NETWORK, ControlStep, HostStep, Run, Workflow
from nova_lite.conductor.steps import faults, find_host
from nova_lite.conductor.steps.find_host import OnHost
from nova_lite.db.compute import servers
from nova_lite.lifecycle.servers import TASKS_OF, Power, Vm
from nova_lite.payloads import guest

_REBUILDING, _DISKS, _SPAWNING = TASKS_OF["rebuild"]


@dataclasses.dataclass(frozen=True)
class RebuildState(OnHost):
    """`is_on`: the guest runs afterwards. `admin_pass`: sealed."""

    is_on: bool = True
    preserve_ephemeral: bool = False
    admin_pass: str | None = None


RebuildRun = Run[RebuildState]


def find_server(services: Services, run: RebuildRun) -> RebuildState:
    host, agent = find_host.find_host(services, run.resource_id)
    return dataclasses.replace(run.state, host=host, agent=agent)


def record_found(session: Session, run: RebuildRun) -> None:
    servers.show_task(session, run.resource_id, among=(_REBUILDING,), task=_DISKS)


def refresh_network(services: Services, run: RebuildRun) -> None:
    """What the guest may read about itself is new before it starts."""
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
        ports = guest.server_ports(session, services.environment, server, order=run.order)
    services.network(run.state.agent).prepare_server(run.ctxt, ports=ports)


def record_refreshed(session: Session, run: RebuildRun) -> None:
    servers.show_task(session, run.resource_id, among=(_DISKS,), task=_SPAWNING)


def replace_guest(services: Services, run: RebuildRun) -> None:
    """The host replaces the guest."""
    with services.database.reader() as session:
        found = guest.read(session, services.environment, run.resource_id, order=run.order)
    described = guest.describe_built(services.environment, found, admin_pass=run.state.admin_pass)
    services.compute(run.state.agent).rebuild(
        run.ctxt, order=run.order, guest=described, keeps_ephemeral=run.state.preserve_ephemeral, is_on=run.state.is_on)


def record_rebuilt(session: Session, run: RebuildRun) -> None:
    is_on = run.state.is_on
    servers.finish(session, run.resource_id, "rebuild", vm_state=Vm.ACTIVE if is_on else Vm.STOPPED,
                   power_state=int(Power.RUNNING if is_on else Power.SHUTDOWN))


def set_fault(session: Session, run: RebuildRun, error: errors.NovaLiteError) -> None:
    """Its old disk may be gone, so that the server is in ERROR; it can be rebuilt again."""
    fault = faults.fault(error.text, details=f"{run.state.host}: {error.text}")
    servers.abandon(session, run.resource_id, "rebuild", fault=fault, is_fatal=True)


REBUILD = Workflow(
    "rebuild", RebuildState,
    (
        ControlStep("find_server", find_server, record=record_found),
        HostStep("refresh_network", find_host.agent, refresh_network, binary=NETWORK, record=record_refreshed),
        HostStep("compute_rebuild_instance", find_host.agent, replace_guest, record=record_rebuilt, after=network_sync.places),
    ),
    failed=set_fault,
)
