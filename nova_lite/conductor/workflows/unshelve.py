# SPDX-License-Identifier: Apache-2.0
"""Unshelve: a guest is built again from its snapshot, or just started where it still is."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import NETWORK, ControlStep, HostStep, HostUndo, Run, Workflow
from nova_lite.conductor.steps import find_host, volume_connections
from nova_lite.conductor.workflows import build
from nova_lite.conductor.workflows.build import BuildState
from nova_lite.db.compute import server_images, servers, shelving
from nova_lite.db.image import images
from nova_lite.db.network import ports
from nova_lite.lifecycle.servers import Power
from nova_lite.payloads import guest, placement
from nova_lite.rpc.compute import Image
from nova_lite.values import guest_disk


@dataclasses.dataclass(frozen=True)
class UnshelveState(BuildState):
    """`is_here`: the guest is still on its host. `left`: an attempt has placed the server. `forced_host`: the one to be used."""

    is_here: bool = False
    left: bool = False
    forced_host: str = ""


UnshelveRun = Run[UnshelveState]


def pick_host(services: Services, run: UnshelveRun) -> UnshelveState:
    """Where it still is, else a host that a scheduler picks and claims."""
    # Before a host is picked, `host` is the action's input: the one that was requested.
    forced = run.state.forced_host or ("" if run.state.agent else run.state.host)
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
        if server.agent is not None and not run.state.left:
            return dataclasses.replace(run.state, host=str(server.host), agent=server.agent, zone=str(server.availability_zone), is_here=True)
        has_volumes = server.has_volumes
        request = placement.request(session, server, excluded=[tried.host for tried in run.state.tried])
        if has_volumes:
            request = dataclasses.replace(request, volume_agent=volume_connections.required_agent(session, run.resource_id))
    if forced:
        request = dataclasses.replace(request, forced_host=forced)
    picked = services.scheduler.pick_host(run.ctxt, request=request)
    return dataclasses.replace(run.state, host=picked.host, agent=picked.agent, zone=picked.availability_zone, is_here=False,
                               left=True, forced_host=forced, has_volumes=has_volumes)


def record_host(session: Session, run: UnshelveRun) -> None:
    if not run.state.is_here:
        servers.place(session, run.resource_id, host=run.state.host, agent=run.state.agent, availability_zone=run.state.zone)
        ports.plug(session, run.resource_id, host=run.state.host, is_up=False)


def release_claim(services: Services, run: UnshelveRun) -> None:
    if run.state.is_here:
        return
    build.release_claim(services, run)
    with services.database.writer() as session:
        servers.place(session, run.resource_id, host=None, agent=None, availability_zone=None)


def chosen(run: UnshelveRun) -> str | None:
    """The worker of a host that gets its ports; None: the host has them."""
    return None if run.state.is_here else run.state.agent


def record_network(session: Session, run: UnshelveRun) -> None:
    if not run.state.is_here:
        network_sync.record_joined(session, run)
    servers.show_task(session, run.resource_id, among=("unshelving",), task="spawning")


def start_guest(services: Services, run: UnshelveRun) -> None:
    """Disks from the snapshot, and the domain; or only power."""
    worker = services.compute(run.state.agent)
    if run.state.is_here:
        worker.unshelve(run.ctxt, server_id=run.resource_id, order=run.order, is_on=True)
        return
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
        known = guest.server_ports(session, services.environment, server, order=run.order)
        disks = guest.disks(session, services.environment, server)
        image = _snapshot(session, services, run) if guest_disk.image_is_used(disks) else Image.of_volume(dict(server.image_properties))
        described = guest.describe(services.environment, server, ports=known, image=image, disks=disks)
    worker.build(run.ctxt, order=run.order, guest=described)


def _snapshot(session: Session, services: Services, run: UnshelveRun) -> Image:
    """:raises errors.ImageFailed: it was deleted, and with it all that the server was."""
    server = servers.get(session, run.resource_id)
    image_id = str(server.shelved_image_id)
    found = images.by_ids(session, [image_id]).get(image_id)
    if found is None or found.status != "active":
        raise errors.ImageFailed(host=run.state.host, id=image_id, reason="the snapshot of the shelved server was deleted")
    return guest.image_payload(
        services.environment, found, host=str(server.host), project_id=server.project_id, properties=dict(server.image_properties))


def take_guest_back(services: Services, run: UnshelveRun) -> None:
    if run.state.is_here:
        services.compute(run.state.agent).shelve(run.ctxt, server_id=run.resource_id, order=run.order)
    else:
        build.destroy_guest(services, run)


def record_guest(session: Session, run: UnshelveRun) -> None:
    """The server is itself again; its snapshot goes in the same transaction."""
    image_id = shelving.image_of(session, run.resource_id)
    if servers.finish(session, run.resource_id, "unshelve", power_state=int(Power.RUNNING)):
        server_images.discard(session, [image_id] if image_id else [])
        shelving.record(session, run.resource_id, image_id=None, now=None)
    ports.plug(session, run.resource_id, host=run.state.host, is_up=True)
    if run.state.has_volumes:
        volume_connections.record_attached(session, run.resource_id)


def try_another_host(services: Services, run: UnshelveRun, error: errors.NovaLiteError) -> UnshelveState | None:
    """Where it still is, or was forced to, there is no other; a snapshot that is gone is gone everywhere."""
    if run.state.is_here or run.state.forced_host or not run.state.agent or run.attempt >= services.conf.conductor.build_attempts:
        return None
    return build.without_host(run, run.state, error)


def stay_shelved(session: Session, run: UnshelveRun, error: errors.NovaLiteError) -> None:
    """The server stays shelved; the action says why."""
    servers.abandon(session, run.resource_id, "unshelve", fault=None, is_fatal=False)


UNSHELVE = Workflow(
    "unshelve", UnshelveState,
    (
        ControlStep("pick_host", pick_host, record=record_host, undo=release_claim),
        HostStep("prepare_network", chosen, build.prepare_network, binary=NETWORK, record=record_network,
                 after=network_sync.changed, undo=HostUndo(build.release_network)),
        ControlStep("connect_volumes", build.connect_volumes, needed=build.uses_volumes, undo=build.disconnect_volumes),
        HostStep("start_guest", find_host.agent, start_guest, record=record_guest, after=network_sync.places,
                 undo=HostUndo(take_guest_back)),
    ),
    again=try_another_host, failed=stay_shelved,
)
