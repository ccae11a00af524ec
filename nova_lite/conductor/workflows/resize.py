# SPDX-License-Identifier: Apache-2.0
"""Resize on the same host, and what ends it: its confirmation, or its revert."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import ControlStep, HostStep, HostUndo, Run, WhenDown, Workflow
from nova_lite.conductor.steps import faults, find_host
from nova_lite.conductor.steps.find_host import OnHost
from nova_lite.db.compute import server_migrations, servers
from nova_lite.db.compute.server_migrations import ServerMigration
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims
from nova_lite.db.hosts.hosts import Host
from nova_lite.hardware import resource_request
from nova_lite.hardware.resource_request import ResourceRequest
from nova_lite.lifecycle.servers import TASKS_OF, Power, Vm
from nova_lite.payloads import guest, placement
from nova_lite.rpc.compute import GuestSize
from nova_lite.values.flavor import Flavor
from nova_lite.values.resources import Resources

_PREP, _MIGRATING, _MIGRATED, _FINISH = TASKS_OF["resize"]


@dataclasses.dataclass(frozen=True)
class ResizeState(OnHost):
    """`move`: number of the server's migration row. `was_on`: the guest ran before. `resize_fence`: names what the host keeps of it."""

    move: int = 0
    was_on: bool = True
    resize_fence: int = 0


ResizeRun = Run[ResizeState]


def find_move(services: Services, run: ResizeRun) -> ResizeState:
    """The migration that is to be done or ended; the rest of the workflow works from its row."""
    with services.database.reader() as session:
        return latest(session, run.resource_id)


def latest(session: Session, server_id: str) -> ResizeState:
    """The server's last migration, and where the server is."""
    server, move = servers.get(session, server_id), server_migrations.latest(session, server_id)
    return ResizeState(host=server.host or "", agent=server.agent or "", move=move.number,
                       was_on=move.old_vm_state == str(Vm.ACTIVE), resize_fence=move.fence)


def claim_both_sizes(services: Services, run: ResizeRun) -> ResizeState:
    """Have a scheduler's filters look at the host for the new flavor, and claim what the guest needs as either size.

    :raises errors.NoValidHost: with the filter that refused, and why.
    """
    with services.database.reader() as session:
        server, move = servers.get(session, run.resource_id), _move(session, run)
        image = dict(server.image_properties)
        request = placement.request(session, server, resource_request=_resource_request(image, move.new_flavor))
    services.scheduler.resize_claim(run.ctxt, request=dataclasses.replace(
        request.with_resources(_both(image, move.old_flavor, move.new_flavor)), forced_host=run.state.host,
        extra_specs=dict(move.new_flavor.extra_specs), migration=run.state.move))
    return run.state


def release_growth(services: Services, run: ResizeRun) -> None:
    """The claim is of the old size again. From here on a late request for the claim is refused: the migration is not before its claim any more."""
    with services.database.writer() as session:
        move = _move(session, run)
        _set_claim(session, run, move.old_flavor)
        move.status = server_migrations.ERROR


def record_claim(session: Session, run: ResizeRun) -> None:
    move = _move(session, run)
    move.status = server_migrations.MIGRATING
    move.dest_address = session.scalar(sa.select(Host.host_ip).where(Host.name == move.dest_host)) or ""
    servers.show_task(session, run.resource_id, among=(_PREP,), task=_MIGRATING)


def stop_guest(services: Services, run: ResizeRun) -> None:
    """The guest is off, its disks are kept."""
    services.compute(run.state.agent).prepare_resize(
        run.ctxt, server_id=run.resource_id, order=run.order, resize_id=run.attempt_id)


def start_old_guest(services: Services, run: ResizeRun) -> None:
    """Undo whatever of the resize has happened on the host."""
    with services.database.reader() as session:
        size = _guest_size(_move(session, run).old_flavor)
    services.compute(run.state.agent).revert_resize(
        run.ctxt, server_id=run.resource_id, order=run.order, resize_id=run.attempt_id, size=size, is_on=run.state.was_on)


def record_stopped(session: Session, run: ResizeRun) -> None:
    move = _move(session, run)
    move.status, move.fence = "post-migrating", run.attempt_id
    servers.show_task(session, run.resource_id, among=(_MIGRATING,), task=_MIGRATED)


def start_resized_guest(services: Services, run: ResizeRun) -> None:
    """New disks from the old ones, the domain described anew, and on again if it was."""
    with services.database.writer() as session:
        servers.show_task(session, run.resource_id, among=(_MIGRATED,), task=_FINISH)
        size = _guest_size(_move(session, run).new_flavor)
    services.compute(run.state.agent).finish_resize(
        run.ctxt, server_id=run.resource_id, order=run.order, resize_id=run.attempt_id, size=size, is_on=run.state.was_on)


def record_resized(session: Session, run: ResizeRun) -> None:
    move = _move(session, run)
    move.status = server_migrations.FINISHED
    _show_flavor(session, run, move.new_flavor)
    servers.finish(session, run.resource_id, "resize", power_state=run.power_state)


def refresh_documents(services: Services, run: ResizeRun) -> None:
    """The metadata service names the flavor."""
    services.conductor.refresh_documents(run.ctxt, server_id=run.resource_id)


def give_up(session: Session, run: ResizeRun, error: errors.NovaLiteError) -> None:
    """All is undone: the server is as it was, and the action says why."""
    move = server_migrations.latest(session, run.resource_id)
    move.status = server_migrations.ERROR
    _show_flavor(session, run, move.old_flavor).disk_config = move.old_disk_config
    _count_as(session, run, move.old_flavor)
    fault = faults.fault(error.text, details=f"resize: {error.text}")
    servers.abandon(session, run.resource_id, "resize", fault=fault, is_fatal=False)


def discard_old_disks(services: Services, run: ResizeRun) -> None:
    """From here on there is no way back."""
    services.compute(run.state.agent).confirm_resize(run.ctxt, server_id=run.resource_id, order=run.order)


def record_confirmed(session: Session, run: ResizeRun) -> None:
    keep_new_size(session, run)
    servers.finish(session, run.resource_id, "confirm_resize", power_state=run.power_state, vm_state=_at_rest(run.power_state))


def keep_new_size(session: Session, run: ResizeRun) -> None:
    """The rows know the server by its new size only; `run.state` as `latest` gives it."""
    move = _move(session, run)
    _set_claim(session, run, move.new_flavor)
    move.status = server_migrations.CONFIRMED
    _count_as(session, run, move.new_flavor)


def restore_guest(services: Services, run: ResizeRun) -> None:
    """The old disks and the old size, whatever the guest has done since the resize."""
    with services.database.reader() as session:
        size = _guest_size(_move(session, run).old_flavor)
    services.compute(run.state.agent).revert_resize(
        run.ctxt, server_id=run.resource_id, order=run.order, resize_id=run.state.resize_fence, size=size, is_on=run.state.was_on)


def record_reverted(session: Session, run: ResizeRun) -> None:
    move = _move(session, run)
    _set_claim(session, run, move.old_flavor)
    move.status = server_migrations.REVERTED
    _show_flavor(session, run, move.old_flavor).disk_config = move.old_disk_config
    _count_as(session, run, move.old_flavor)
    servers.finish(session, run.resource_id, "revert_resize", power_state=run.power_state, vm_state=_at_rest(run.power_state))


def record_confirming(session: Session, run: ResizeRun) -> None:
    _move(session, run).status = server_migrations.CONFIRMING


def record_reverting(session: Session, run: ResizeRun) -> None:
    _move(session, run).status = server_migrations.REVERTING


def stay_resized(session: Session, run: ResizeRun, error: errors.NovaLiteError) -> None:
    """Nothing was done: the same may be requested again."""
    for name in ("confirm_resize", "revert_resize"):
        servers.abandon(session, run.resource_id, name, fault=None, is_fatal=False)


def _move(session: Session, run: ResizeRun) -> ServerMigration:
    return session.get_one(ServerMigration, run.state.move)


def _show_flavor(session: Session, run: ResizeRun, flavor: Flavor) -> Server:
    server = servers.get_any(session, run.resource_id)
    server.flavor, server.total_gb = flavor, flavor.total_gb
    session.flush()
    return server


def _count_as(session: Session, run: ResizeRun, flavor: Flavor) -> None:
    """It was decided: from here on the server counts, for quotas, as this and no more as the larger of both."""
    server = servers.get_any(session, run.resource_id)
    server.vcpus, server.ram_mb = flavor.vcpus, flavor.ram_mb
    session.flush()


def _at_rest(power: int | None) -> Vm:
    return Vm.STOPPED if power in (Power.SHUTDOWN, Power.CRASHED, Power.NOSTATE) else Vm.ACTIVE


def _set_claim(session: Session, run: ResizeRun, flavor: Flavor) -> None:
    """Shrink the claim to what this flavor takes."""
    image = dict(servers.get_any(session, run.resource_id).image_properties)
    claims.change(session, server_id=run.resource_id, host=run.state.host, ratios=None,
                  resources=_resource_request(image, flavor).resources)


def _resource_request(image: dict[str, str], flavor: Flavor) -> ResourceRequest:
    """What a host must have for it; `flavor` as a migration keeps it."""
    return resource_request.of(specs=flavor.extra_specs, image=image, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb,
                               disk_gb=flavor.total_gb)


def _both(image: dict[str, str], old: Flavor, new: Flavor) -> Resources:
    """One guest runs, as large as either; the disks of both are there."""
    before, after = _resource_request(image, old).resources, _resource_request(image, new).resources
    return before.larger_of(after).replace(disk_gb=before.disk_gb + after.disk_gb)


def _guest_size(flavor: Flavor) -> GuestSize:
    return GuestSize(
        vcpus=flavor.vcpus, ram_mb=flavor.ram_mb, extra_specs=dict(flavor.extra_specs), disks=guest.local_disks(flavor))


RESIZE = Workflow(
    "resize", ResizeState,
    (
        ControlStep("find_move", find_move),
        ControlStep("claim_room", claim_both_sizes, record=record_claim, undo=release_growth),
        HostStep("stop_guest", find_host.agent, stop_guest, record=record_stopped,
                 undo=HostUndo(start_old_guest, when_down=WhenDown.WAIT)),
        HostStep("start_resized_guest", find_host.agent, start_resized_guest, record=record_resized, after=refresh_documents),
    ),
    failed=give_up,
)
CONFIRM = Workflow(
    "confirm_resize", ResizeState,
    (
        ControlStep("find_move", find_move, record=record_confirming),
        HostStep("discard_old_disks", find_host.agent, discard_old_disks, record=record_confirmed, pivot=True,
                 when_down=WhenDown.WAIT),
    ),
    failed=stay_resized,
)
REVERT = Workflow(
    "revert_resize", ResizeState,
    (
        ControlStep("find_move", find_move, record=record_reverting),
        HostStep("restore_guest", find_host.agent, restore_guest, record=record_reverted, after=refresh_documents, pivot=True,
                 when_down=WhenDown.WAIT),
    ),
    failed=stay_resized,
)
