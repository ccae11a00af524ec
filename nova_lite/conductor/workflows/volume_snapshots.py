# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes: create and delete, on the worker of the volume's pool."""

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

SnapshotRun = Run[OnPool]
_CREATING, _DELETING = [str(SnapshotStatus.CREATING)], [str(SnapshotStatus.DELETING)]


def find_pool(services: Services, run: SnapshotRun) -> OnPool:
    with services.database.reader() as session:
        row = volumes.get(session, snapshots.get(session, run.resource_id).volume_id)
    return dataclasses.replace(run.state, host=row.host or "")


def _payload(services: Services, run: SnapshotRun) -> Snapshot:
    with services.database.reader() as session:
        row = snapshots.get(session, run.resource_id)
        return payloads.snapshot(session, row, volumes.get(session, row.volume_id))


def create_on_pool(services: Services, run: SnapshotRun) -> None:
    services.volume(str(volume_host.worker(run))).create_snapshot(run.ctxt, snapshot=_payload(services, run), order=run.order)


def delete_on_pool(services: Services, run: SnapshotRun) -> None:
    services.volume(str(volume_host.worker(run))).delete_snapshot(run.ctxt, snapshot=_payload(services, run), order=run.order)


def record_created(session: Session, run: SnapshotRun) -> None:
    snapshots.set_status(session, run.resource_id, SnapshotStatus.AVAILABLE, among=_CREATING, progress=100)


def create_failed(session: Session, run: SnapshotRun, error: errors.NovaLiteError) -> None:
    snapshots.set_status(session, run.resource_id, SnapshotStatus.ERROR, among=_CREATING)


def record_deleted(session: Session, run: SnapshotRun) -> None:
    snapshots.delete(session, run.resource_id)


def delete_failed(session: Session, run: SnapshotRun, error: errors.NovaLiteError) -> None:
    snapshots.set_status(session, run.resource_id, SnapshotStatus.ERROR_DELETING, among=_DELETING)


CREATE = Workflow(
    "create_snapshot", OnPool,
    (
        ControlStep("find_pool", find_pool),
        HostStep("create_on_pool", volume_host.worker, create_on_pool, binary=VOLUME, record=record_created,
                 undo=HostUndo(delete_on_pool, when_down=WhenDown.WAIT)),
    ),
    failed=create_failed, resource_type="snapshot",
)
DELETE = Workflow(
    "delete_snapshot", OnPool,
    (
        ControlStep("find_pool", find_pool),
        HostStep("delete_on_pool", volume_host.worker, delete_on_pool, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("forget", record=record_deleted),
    ),
    failed=delete_failed, resource_type="snapshot",
)
