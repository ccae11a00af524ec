# SPDX-License-Identifier: Apache-2.0
"""Shelve: a guest becomes a snapshot; offload: it leaves its host, which gets its resources back."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import (
    NETWORK,
    ControlStep,
    HostStep,
    HostUndo,
    RowStep,
    Run,
    WhenDown,
    Workflow,
)
from nova_lite.conductor.steps import find_host, volume_connections
from nova_lite.conductor.workflows import build, snapshot
from nova_lite.db.base import utcnow
from nova_lite.db.compute import server_images, servers, shelving
from nova_lite.db.hosts import claims
from nova_lite.db.network import interfaces
from nova_lite.lifecycle.servers import TASKS_OF, Power, Vm


@dataclasses.dataclass(frozen=True)
class ShelveState(snapshot.ImageState):
    """`was`: the server's vm_state. `offloads`: it leaves its host at once. `begun`: actions that end the exports of its volumes."""

    was: str = ""
    offloads: bool = False
    begun: tuple[int, ...] = ()


ShelveRun = Run[ShelveState]


def find_server(services: Services, run: ShelveRun) -> ShelveState:
    """Where it is, and whether it is to leave at once."""
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
    offloads = services.conf.compute.shelved_offload_time == 0 or not run.state.image_id
    return dataclasses.replace(run.state, host=server.host or "", agent=server.agent or "", offloads=offloads)


def forget_image(services: Services, run: ShelveRun) -> None:
    """The image that the request made: there will be no snapshot."""
    with services.database.writer() as session:
        server_images.discard(session, [run.state.image_id] if run.state.image_id else [])
        shelving.record(session, run.resource_id, image_id=None, now=None)


def power_off(services: Services, run: ShelveRun) -> None:
    """The guest is shut down; its disk is at rest."""
    services.compute(run.state.agent).shelve(run.ctxt, server_id=run.resource_id, order=run.order)


def power_on(services: Services, run: ShelveRun) -> None:
    """A guest that ran runs again; one that was paused too, and shows so."""
    services.compute(run.state.agent).unshelve(
        run.ctxt, server_id=run.resource_id, order=run.order, is_on=run.state.was in (Vm.ACTIVE, Vm.PAUSED))


def record_shelved(session: Session, run: ShelveRun) -> None:
    """The snapshot is whole: from here on it is the server."""
    shelving.record(session, run.resource_id, image_id=run.state.image_id or None, now=utcnow())
    if run.state.offloads:
        servers.show_task(session, run.resource_id, among=TASKS_OF["shelve"], task=TASKS_OF["shelve"][-1])
    else:
        servers.finish(session, run.resource_id, "shelve", power_state=int(Power.SHUTDOWN))


def leaving(run: ShelveRun) -> str | None:
    """The worker of the host that it leaves, if it does."""
    return run.state.agent or None if run.state.offloads else None


def record_offloaded(session: Session, run: ShelveRun) -> ShelveState:
    """Nothing is left on the host: the rows say so in the transaction that ends the action."""
    return _offload(session, run, "shelve") if run.state.offloads else run.state


def find_shelved(services: Services, run: ShelveRun) -> ShelveState:
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
    return dataclasses.replace(run.state, host=server.host or "", agent=server.agent or "", offloads=True)


def record_left(session: Session, run: ShelveRun) -> ShelveState:
    return _offload(session, run, "shelve_offload")


def notify_left(services: Services, run: ShelveRun) -> None:
    """Peers forget the host; its volumes are exported to it no more."""
    network_sync.changed(services, run)
    volume_connections.cast(services, run, run.state.begun)


def _offload(session: Session, run: ShelveRun, action: str) -> ShelveState:
    begun = volume_connections.begin_disconnect(session, run) if servers.get(session, run.resource_id).has_volumes else []
    claims.release(session, server_id=run.resource_id)
    interfaces.leave_host(session, run.resource_id)
    servers.place(session, run.resource_id, host=None, agent=None, availability_zone=None)
    servers.finish(session, run.resource_id, action, power_state=int(Power.SHUTDOWN), vm_state=Vm.SHELVED_OFFLOADED)
    return dataclasses.replace(run.state, begun=tuple(begun))


def stay(session: Session, run: ShelveRun, error: errors.NovaLiteError) -> None:
    """The server is as it was; the action says why."""
    if run.state.was == Vm.PAUSED:  # its CPUs go on: what was frozen is lost with the power
        servers.finish(session, run.resource_id, "shelve", power_state=int(Power.RUNNING), vm_state=Vm.ACTIVE)
    else:
        servers.abandon(session, run.resource_id, "shelve", fault=None, is_fatal=False)


def stay_shelved(session: Session, run: ShelveRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "shelve_offload", fault=None, is_fatal=False)


SHELVE = Workflow(
    "shelve", ShelveState,
    (
        ControlStep("find_server", find_server, undo=forget_image),
        HostStep("power_off", find_host.agent, power_off, undo=HostUndo(power_on)),
        *snapshot.steps(ShelveState, snapshot.Tasks(TASKS_OF["shelve"][:1], *TASKS_OF["shelve"][1:3])),
        RowStep("set_aside", record=record_shelved, pivot=True),
        HostStep("destroy_guest", leaving, build.destroy_guest, when_down=WhenDown.SKIP),
        HostStep("release_network", leaving, build.release_network, binary=NETWORK, when_down=WhenDown.SKIP),
        RowStep("leave_host", record=record_offloaded, after=notify_left),
    ),
    failed=stay,
)
OFFLOAD = Workflow(
    "shelve_offload", ShelveState,
    (
        ControlStep("find_shelved", find_shelved),
        HostStep("destroy_guest", leaving, build.destroy_guest, pivot=True, when_down=WhenDown.SKIP),
        HostStep("release_network", leaving, build.release_network, binary=NETWORK, when_down=WhenDown.SKIP),
        RowStep("leave_host", record=record_left, after=notify_left),
    ),
    failed=stay_shelved,
)
