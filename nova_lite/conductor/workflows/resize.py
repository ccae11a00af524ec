# SPDX-License-Identifier: Apache-2.0
"""Resize on the same host, and what ends it: its confirmation, or its revert."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.conductor.steps import faults
from nova_lite.db.compute import server_migrations, servers
from nova_lite.db.compute.server_migrations import ServerMigration
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims
from nova_lite.db.hosts.hosts import Host
from nova_lite.hardware import resource_request
from nova_lite.hardware.resource_request import ResourceRequest
from nova_lite.lifecycle.servers import TASKS_OF, Power, Vm
from nova_lite.payloads import placement
from nova_lite.rpc.compute import GuestSize
from nova_lite.values.flavor import Flavor
from nova_lite.values.resources import Resources

_PREP, _MIGRATING, _MIGRATED, _FINISH = TASKS_OF["resize"]


def find_move(run: Run) -> Saved:
    """What is to change, and what it was; the rest of the workflow works from this."""
    with run.services.database.reader() as session:
        return known(session, run.server_id)


def known(session: Session, server_id: str) -> Saved:
    """The server's last move, where it is, and what was and is to be."""
    server, move = servers.get(session, server_id), server_migrations.latest(session, server_id)
    return {"host": server.host, "agent": server.agent, "image": dict(server.image_properties), "move": move.number,
            "old": move.old_flavor.to_json(), "new": move.new_flavor.to_json(), "was_on": move.old_vm_state == str(Vm.ACTIVE),
            "resize_fence": move.fence}


def claim_room(run: Run) -> None:
    """Have a scheduler's filters look at the host for the new flavor, and claim what the guest needs as either size.

    :raises errors.NoValidHost: with the filter that refused, and why.
    """
    old, new = _saved_flavor(run, "old"), _saved_flavor(run, "new")
    with run.services.database.reader() as session:
        request = placement.request(session, servers.get(session, run.server_id), resource_request=_resource_request(run, new))
    run.services.scheduler.resize_claim(run.ctxt, request=dataclasses.replace(
        request.with_resources(_both(run, old, new)), forced_host=run.saved["host"],
        extra_specs=dict(new.extra_specs), migration=run.saved["move"]))


def release_room(run: Run) -> None:
    """From here on a late request for the claim is refused: the migration is not before its claim any more."""
    with run.services.database.writer() as session:
        _set_claim(session, run, _saved_flavor(run, "old"))
        _move(session, run).status = server_migrations.ERROR


def record_room(session: Session, run: Run) -> None:
    move = _move(session, run)
    move.status = server_migrations.MIGRATING
    move.dest_address = session.scalar(sa.select(Host.host_ip).where(Host.name == move.dest_host)) or ""
    servers.show_task(session, run.server_id, among=(_PREP,), task=_MIGRATING)


def stop_guest(run: Run) -> None:
    """The guest is off, its disks are set aside."""
    run.services.compute(run.saved["agent"]).prepare_resize(run.ctxt, server_id=run.server_id, fence=run.fence)


def start_old_guest(run: Run) -> None:
    """Whatever of the resize has happened on the host, undo it; the fence is above that of a late duplicate."""
    run.services.compute(run.saved["agent"]).revert_resize(
        run.ctxt, server_id=run.server_id, fence=run.fence + 1, resize_fence=run.fence,
        size=_guest_size(_saved_flavor(run, "old")), is_on=run.saved["was_on"])


def record_stopped(session: Session, run: Run) -> None:
    move = _move(session, run)
    move.status, move.fence = "post-migrating", run.fence
    servers.show_task(session, run.server_id, among=(_MIGRATING,), task=_MIGRATED)


def start_resized_guest(run: Run) -> Saved:
    """New disks from the old ones, the domain described anew, and on again if it was."""
    with run.services.database.writer() as session:
        servers.show_task(session, run.server_id, among=(_MIGRATED,), task=_FINISH)
    power = run.services.compute(run.saved["agent"]).finish_resize(
        run.ctxt, server_id=run.server_id, fence=run.fence, size=_guest_size(_saved_flavor(run, "new")), is_on=run.saved["was_on"])
    return {"power": power}


def record_resized(session: Session, run: Run) -> None:
    _move(session, run).status = server_migrations.FINISHED
    _show_flavor(session, run, _saved_flavor(run, "new"))
    servers.finish(session, run.server_id, "resize", power_state=run.saved["power"])


def refresh_documents(run: Run) -> None:
    """The metadata service names the flavor."""
    run.services.conductor.refresh_documents(run.ctxt, server_id=run.server_id)


def give_up(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """All is undone: the server is as it was, and the action says why."""
    move = server_migrations.latest(session, run.server_id)
    move.status = server_migrations.ERROR
    _show_flavor(session, run, move.old_flavor).disk_config = move.old_disk_config
    _count_as(session, run, move.old_flavor)
    fault = faults.fault(error.text, details=f"resize: {error.text}", now=run.services.now())
    servers.abandon(session, run.server_id, "resize", fault=fault, is_fatal=False)


def discard_old_disks(run: Run) -> Saved:
    """From here on there is no way back."""
    power = run.services.compute(run.saved["agent"]).confirm_resize(run.ctxt, server_id=run.server_id, fence=run.fence)
    return {"power": power}


def record_confirmed(session: Session, run: Run) -> None:
    keep_new_size(session, run)
    servers.finish(session, run.server_id, "confirm_resize", power_state=run.saved["power"],
                   vm_state=_at_rest(run.saved["power"]))


def keep_new_size(session: Session, run: Run) -> None:
    """The rows know the server by its new size only; `run.saved` as `known` gives it."""
    _set_claim(session, run, _saved_flavor(run, "new"))
    _move(session, run).status = server_migrations.CONFIRMED
    _count_as(session, run, _saved_flavor(run, "new"))


def restore_guest(run: Run) -> Saved:
    """The old disks and the old size, whatever the guest has done since the resize."""
    power = run.services.compute(run.saved["agent"]).revert_resize(
        run.ctxt, server_id=run.server_id, fence=run.fence, resize_fence=run.saved["resize_fence"],
        size=_guest_size(_saved_flavor(run, "old")), is_on=run.saved["was_on"])
    return {"power": power}


def record_reverted(session: Session, run: Run) -> None:
    _set_claim(session, run, _saved_flavor(run, "old"))
    move = _move(session, run)
    move.status = server_migrations.REVERTED
    _show_flavor(session, run, _saved_flavor(run, "old")).disk_config = move.old_disk_config
    _count_as(session, run, _saved_flavor(run, "old"))
    servers.finish(session, run.server_id, "revert_resize", power_state=run.saved["power"],
                   vm_state=_at_rest(run.saved["power"]))


def record_confirming(session: Session, run: Run) -> None:
    _move(session, run).status = server_migrations.CONFIRMING


def record_reverting(session: Session, run: Run) -> None:
    _move(session, run).status = server_migrations.REVERTING


def stay_resized(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """Nothing was done: what was asked for may be asked for again."""
    for name in ("confirm_resize", "revert_resize"):
        servers.abandon(session, run.server_id, name, fault=None, is_fatal=False)


def _move(session: Session, run: Run) -> ServerMigration:
    return session.get_one(ServerMigration, run.saved["move"])


def _show_flavor(session: Session, run: Run, flavor: Flavor) -> Server:
    server = servers.get_any(session, run.server_id)
    server.flavor, server.total_gb = flavor, flavor.total_gb
    session.flush()
    return server


def _count_as(session: Session, run: Run, flavor: Flavor) -> None:
    """It was decided: from here on the server counts, for quotas, as this and no more as the larger of both."""
    server = servers.get_any(session, run.server_id)
    server.vcpus, server.ram_mb = flavor.vcpus, flavor.ram_mb
    session.flush()


def _at_rest(power: int) -> Vm:
    return Vm.STOPPED if power in (Power.SHUTDOWN, Power.CRASHED, Power.NOSTATE) else Vm.ACTIVE


def _saved_flavor(run: Run, which: str) -> Flavor:
    return Flavor.from_json(run.saved[which])


def _set_claim(session: Session, run: Run, flavor: Flavor) -> None:
    """Shrink the claim to what this flavor takes."""
    claims.change(session, server_id=run.server_id, host=run.saved["host"], ratios=None,
                  resources=_resource_request(run, flavor).resources)


def _resource_request(run: Run, flavor: Flavor) -> ResourceRequest:
    """What a host must have for it; `flavor` as a move keeps it."""
    return resource_request.of(specs=flavor.extra_specs, image=run.saved.get("image", {}), vcpus=flavor.vcpus,
                               ram_mb=flavor.ram_mb, disk_gb=flavor.total_gb)


def _both(run: Run, old: Flavor, new: Flavor) -> Resources:
    """One guest runs, as large as either; the disks of both are there."""
    before, after = _resource_request(run, old).resources, _resource_request(run, new).resources
    return before.larger_of(after).replace(disk_gb=before.disk_gb + after.disk_gb)


def _guest_size(flavor: Flavor) -> GuestSize:
    return GuestSize(
        vcpus=flavor.vcpus, ram_mb=flavor.ram_mb, disk_gb=flavor.root_gb, ephemeral_gb=flavor.ephemeral_gb,
        swap_mb=flavor.swap_mb, extra_specs=dict(flavor.extra_specs))


RESIZE = Workflow(
    "resize",
    (
        Step(find_move),
        Step(claim_room, record=record_room, undo=release_room),
        Step(stop_guest, record=record_stopped, undo=start_old_guest),
        Step(start_resized_guest, record=record_resized, after=refresh_documents),
    ),
    failed=give_up,
)
CONFIRM = Workflow(
    "confirm_resize",
    (
        Step(find_move, record=record_confirming),
        Step(discard_old_disks, record=record_confirmed, pivot=True),
    ),
    failed=stay_resized,
)
REVERT = Workflow(
    "revert_resize",
    (
        Step(find_move, record=record_reverting),
        Step(restore_guest, record=record_reverted, after=refresh_documents, pivot=True),
    ),
    failed=stay_resized,
)
