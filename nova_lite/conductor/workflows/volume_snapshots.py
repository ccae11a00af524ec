# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes: create and delete, on the worker of the volume's pool, and create in the guest that has the volume, where the pool leaves that to it."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import (
    VOLUME,
    ControlStep,
    HostStep,
    HostUndo,
    RowStep,
    Run,
    WhenDown,
    Workflow,
)
from nova_lite.conductor.steps import volume_host
from nova_lite.conductor.steps.volume_host import OnPool
from nova_lite.db.volume import snapshots, volumes
from nova_lite.lifecycle.volumes import SnapshotStatus
from nova_lite.payloads import volumes as payloads
from nova_lite.rpc.volume import Snapshot


@dataclasses.dataclass(frozen=True)
class SnapshotState(OnPool):
    """`volume_id`, and `server_id`: whose guest has the volume, on the worker `agent`; None: none has, or the pool needs none."""

    volume_id: str = ""
    server_id: str = ""
    agent: str | None = None


SnapshotRun = Run[SnapshotState]
_CREATING, _DELETING = [str(SnapshotStatus.CREATING)], [str(SnapshotStatus.DELETING)]


def find_pool(services: Services, run: SnapshotRun) -> SnapshotState:
    with services.database.reader() as session:
        row = volumes.get(session, snapshots.get(session, run.resource_id).volume_id)
        state = dataclasses.replace(run.state, host=row.host or "", volume_id=row.id)
        used = volume_host.guest_of(session, row.id)
    return state if used is None else dataclasses.replace(state, server_id=str(used.server_id), agent=used.host)


def _payload(services: Services, run: SnapshotRun) -> Snapshot:
    with services.database.reader() as session:
        row = snapshots.get(session, run.resource_id)
        return payloads.snapshot(session, row, volumes.get(session, row.volume_id))


def create_on_pool(services: Services, run: SnapshotRun) -> None:
    services.volume(str(volume_host.worker(run))).create_snapshot(run.ctxt, snapshot=_payload(services, run), order=run.order)


def delete_on_pool(services: Services, run: SnapshotRun) -> None:
    services.volume(str(volume_host.worker(run))).delete_snapshot(run.ctxt, snapshot=_payload(services, run), order=run.order)


def take_frozen(services: Services, run: SnapshotRun) -> SnapshotState:
    """Only of some pools does the guest write to the snapshot until it is switched."""
    return run.state if run.result.get("frozen_by") == "hypervisor" else dataclasses.replace(run.state, agent=None)


def switch_guest(services: Services, run: SnapshotRun) -> None:
    """The guest writes to what the volume has become."""
    services.compute(str(run.state.agent)).snapshot_volume(
        run.ctxt, server_id=run.state.server_id, order=run.order, volume_id=run.state.volume_id)


def record_created(session: Session, run: SnapshotRun) -> None:
    snapshots.set_status(session, run.resource_id, SnapshotStatus.AVAILABLE, among=_CREATING, progress=100)


def create_failed(session: Session, run: SnapshotRun, error: errors.NovaLiteError) -> None:
    snapshots.set_status(session, run.resource_id, SnapshotStatus.ERROR, among=_CREATING)


def record_deleted(session: Session, run: SnapshotRun) -> None:
    snapshots.delete(session, run.resource_id)


def delete_failed(session: Session, run: SnapshotRun, error: errors.NovaLiteError) -> None:
    snapshots.set_status(session, run.resource_id, SnapshotStatus.ERROR_DELETING, among=_DELETING)


CREATE = Workflow(
    "create_snapshot", SnapshotState,
    (
        ControlStep("find_pool", find_pool),
        HostStep("create_on_pool", volume_host.worker, create_on_pool, binary=VOLUME, take=take_frozen,
                 undo=HostUndo(delete_on_pool, when_down=WhenDown.WAIT)),
        HostStep("switch_guest", lambda run: run.state.agent, switch_guest),
        RowStep("finish", record=record_created),
    ),
    failed=create_failed, resource_type="snapshot",
)
DELETE = Workflow(
    "delete_snapshot", SnapshotState,
    (
        ControlStep("find_pool", find_pool),
        HostStep("delete_on_pool", volume_host.worker, delete_on_pool, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("forget", record=record_deleted),
    ),
    failed=delete_failed, resource_type="snapshot",
)
