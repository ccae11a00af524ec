# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes: create, on the worker of the volume's pool; delete, where they were made; restore, into a volume that may be new."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging
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
from nova_lite.db.base import utcnow
from nova_lite.db.volume import attachments, backups, pools, snapshots, volumes
from nova_lite.lifecycle.volumes import BackupStatus, VolumeStatus
from nova_lite.payloads import volumes as payloads
from nova_lite.rpc.scheduler import PoolRequest
from nova_lite.rpc.volume import Content, Snapshot

LOG = logging.getLogger(__name__)
# Pools that a restore into a new volume tries.
_ATTEMPTS = 3
_CREATING, _DELETING, _RESTORING = (BackupStatus.CREATING,), (BackupStatus.DELETING,), (BackupStatus.RESTORING,)


@dataclasses.dataclass(frozen=True)
class CreateState(OnPool):
    """`volume_id`. `is_frozen`: it is in use, and is read from a snapshot that is there for the while.

    `server_id`: whose guest has the volume, on the worker `agent`; None: none has, or the pool needs none.
    `size`, `object_count`, `digest`: as the worker reports them.
    """

    volume_id: str = ""
    is_frozen: bool = False
    server_id: str = ""
    agent: str | None = None
    size: int = 0
    object_count: int = 0
    digest: str = ""


CreateRun = Run[CreateState]


def find_pool(services: Services, run: CreateRun) -> CreateState:
    """Where the volume is, and who has it; the row says who makes the backup, so that it can be deleted there."""
    with services.database.writer() as session:
        backup = backups.get_locked(session, run.resource_id)
        row = volumes.get(session, backup.volume_id)
        if row.agent is None:
            raise errors.WorkerError(reason=f"volume {row.id} is in no pool")
        backup.host = row.agent
        state = dataclasses.replace(run.state, host=row.host or "", volume_id=row.id)
        of, used = attachments.of_volume(session, row.id), volume_host.guest_of(session, row.id)
    if backup.snapshot_id is not None or not any(one.connection_info is not None for one in of):
        return state
    state = dataclasses.replace(state, is_frozen=True)
    return state if used is None else dataclasses.replace(state, server_id=str(used.server_id), agent=used.host)


def frozen_on(run: CreateRun) -> str | None:
    """The worker that makes and removes the snapshot; None: there is none to be made."""
    return volume_host.worker(run) if run.state.is_frozen else None


def _frozen(services: Services, run: CreateRun) -> Snapshot:
    with services.database.reader() as session:
        return payloads.frozen(session, backups.get(session, run.resource_id), volumes.get(session, run.state.volume_id))


def freeze_on_pool(services: Services, run: CreateRun) -> None:
    services.volume(str(frozen_on(run))).create_snapshot(run.ctxt, snapshot=_frozen(services, run), order=run.order)


def thaw_on_pool(services: Services, run: CreateRun) -> None:
    """There is no snapshot of the backup's own."""
    services.volume(str(frozen_on(run))).delete_snapshot(run.ctxt, snapshot=_frozen(services, run), order=run.order)


def take_frozen(services: Services, run: CreateRun) -> CreateState:
    """Only of some pools does the guest write to the snapshot until it is switched."""
    return run.state if run.result.get("frozen_by") == "hypervisor" else dataclasses.replace(run.state, agent=None)


def guest_worker(run: CreateRun) -> str | None:
    return run.state.agent if run.state.is_frozen else None


def switch_guest(services: Services, run: CreateRun) -> None:
    """The guest writes to what the volume has become."""
    services.compute(str(run.state.agent)).snapshot_volume(
        run.ctxt, server_id=run.state.server_id, order=run.order, volume_id=run.state.volume_id)


def copy_to_store(services: Services, run: CreateRun) -> None:
    with services.database.reader() as session:
        backup = backups.get(session, run.resource_id)
        row = volumes.get(session, run.state.volume_id)
        wanted, snapshot = payloads.backup(session, backup, row), None
        if run.state.is_frozen:
            snapshot = payloads.frozen(session, backup, row)
        elif backup.snapshot_id is not None:
            snapshot = payloads.snapshot(session, snapshots.get(session, backup.snapshot_id), row)
    services.volume(str(volume_host.worker(run))).create_backup(run.ctxt, backup=wanted, order=run.order, snapshot=snapshot)


def take_copied(services: Services, run: CreateRun) -> CreateState:
    return dataclasses.replace(
        run.state, size=int(run.result["size"]), object_count=int(run.result["object_count"]), digest=str(run.result["digest"]))


def remove_from_store(services: Services, run: CreateRun) -> None:
    """The store has nothing of the backup."""
    with services.database.reader() as session:
        wanted = payloads.backup(session, backups.get(session, run.resource_id), None)
    services.volume(str(volume_host.worker(run))).delete_backup(run.ctxt, backup=wanted, order=run.order)


def record_created(session: Session, run: CreateRun) -> None:
    backup = _row(session, run.resource_id)
    if backup is None:
        return
    state = run.state
    backups.set_status(session, backup, BackupStatus.AVAILABLE, among=_CREATING, object_count=state.object_count,
                       details={**backup.details, "digest": state.digest, "size": state.size})
    backups.end_claims(session, backup)


def create_failed(session: Session, run: CreateRun, error: errors.NovaLiteError) -> None:
    """The volume is as it was; the backup says why there is none."""
    backup = _row(session, run.resource_id)
    if backup is None:
        return
    backups.set_status(session, backup, BackupStatus.ERROR, among=_CREATING, fail_reason=error.text)
    backups.end_claims(session, backup)


def _row(session: Session, backup_id: str) -> backups.VolumeBackup | None:
    """The backup with its row locked; None: it is gone."""
    try:
        return backups.get_locked(session, backup_id)
    except errors.NotFound:
        return None


CREATE = Workflow(
    "create_volume_backup", CreateState,
    (
        ControlStep("find_pool", find_pool),
        HostStep("freeze_on_pool", frozen_on, freeze_on_pool, binary=VOLUME, take=take_frozen,
                 undo=HostUndo(thaw_on_pool, when_down=WhenDown.WAIT)),
        HostStep("switch_guest", guest_worker, switch_guest),
        HostStep("copy_to_store", volume_host.worker, copy_to_store, binary=VOLUME, take=take_copied,
                 undo=HostUndo(remove_from_store, when_down=WhenDown.WAIT)),
        HostStep("thaw_on_pool", frozen_on, thaw_on_pool, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("finish", record=record_created),
    ),
    failed=create_failed, resource_type="backup",
)


@dataclasses.dataclass(frozen=True)
class DeleteState(OnPool):
    """`host`: of the worker that made the backup. `volume_id`: that may have a snapshot for it, on the worker `agent`; None: it has none."""

    volume_id: str = ""
    agent: str | None = None


DeleteRun = Run[DeleteState]


def find_worker(services: Services, run: DeleteRun) -> DeleteState:
    """Where the backup is. A deletion by force may have cut off its creation, and left the snapshot that it is read from."""
    with services.database.reader() as session:
        backup = backups.get(session, run.resource_id)
        state = dataclasses.replace(run.state, host=backup.host or "")
        of = None if backup.details or backup.snapshot_id is not None else session.get(volumes.Volume, backup.volume_id)
        return state if of is None else dataclasses.replace(state, volume_id=of.id, agent=of.agent)


def delete_from_store(services: Services, run: DeleteRun) -> None:
    with services.database.reader() as session:
        wanted = payloads.backup(session, backups.get(session, run.resource_id), None)
    services.volume(str(volume_host.worker(run))).delete_backup(run.ctxt, backup=wanted, order=run.order)


def thaw_left(services: Services, run: DeleteRun) -> None:
    """There is no snapshot of the backup's own."""
    with services.database.reader() as session:
        snapshot = payloads.frozen(session, backups.get(session, run.resource_id), volumes.get(session, run.state.volume_id))
    services.volume(str(run.state.agent)).delete_snapshot(run.ctxt, snapshot=snapshot, order=run.order)


def record_deleted(session: Session, run: DeleteRun) -> None:
    backup = _row(session, run.resource_id)
    if backup is not None:
        backups.end_claims(session, backup)  # a deletion by force may have cut off its creation
        backups.delete(session, run.resource_id)


def delete_failed(session: Session, run: DeleteRun, error: errors.NovaLiteError) -> None:
    backup = _row(session, run.resource_id)
    if backup is not None:
        backups.set_status(session, backup, BackupStatus.ERROR_DELETING, among=_DELETING, fail_reason=error.text)


DELETE = Workflow(
    "delete_volume_backup", DeleteState,
    (
        ControlStep("find_worker", find_worker),
        HostStep("delete_from_store", volume_host.worker, delete_from_store, binary=VOLUME, when_down=WhenDown.WAIT),
        HostStep("thaw_on_pool", lambda run: run.state.agent, thaw_left, binary=VOLUME, when_down=WhenDown.SKIP),
        RowStep("forget", record=record_deleted),
    ),
    failed=delete_failed, resource_type="backup",
)


@dataclasses.dataclass(frozen=True)
class RestoreState(OnPool):
    """`volume_id`: that gets the content. `is_new`: it is made first, in a pool of `zone`. `tried`: pools that failed."""

    volume_id: str = ""
    is_new: bool = False
    zone: str | None = None
    tried: tuple[str, ...] = ()


RestoreRun = Run[RestoreState]


def place_volume(services: Services, run: RestoreRun) -> RestoreState:
    """Find the volume's pool; of a new one have a scheduler pick and claim it."""
    with services.database.reader() as session:
        row = volumes.get(session, run.state.volume_id)
        if row.status != VolumeStatus.CREATING:
            return dataclasses.replace(run.state, host=row.host or "")
        request = PoolRequest(
            volume_id=row.id, project_id=row.project_id, size_gb=row.size_gb, availability_zone=row.availability_zone,
            extra_specs=payloads.extra_specs(session, row), is_shared=row.multiattach, excluded=run.state.tried)
    placed = services.scheduler.pick_pool(run.ctxt, request=request)
    return dataclasses.replace(run.state, host=placed.pool, zone=placed.availability_zone, is_new=True)


def release_pool(services: Services, run: RestoreRun) -> None:
    """The pool of a new volume gets back what was claimed."""
    with services.database.writer() as session:
        row = volume_host.lock(session, run.state.volume_id)
        if row is not None and row.status == VolumeStatus.CREATING:
            pools.release(session, row)


def new_on(run: RestoreRun) -> str | None:
    """The worker that makes the volume; None: it is there."""
    return volume_host.worker(run) if run.state.is_new else None


def create_on_pool(services: Services, run: RestoreRun) -> None:
    with services.database.reader() as session:
        wanted = payloads.volume(session, volumes.get(session, run.state.volume_id))
    services.volume(str(new_on(run))).create_volume(run.ctxt, volume=wanted, order=run.order, content=Content())


def remove_from_pool(services: Services, run: RestoreRun) -> None:
    """The pool has nothing of the new volume."""
    with services.database.reader() as session:
        wanted = payloads.volume(session, volumes.get(session, run.state.volume_id))
    services.volume(str(new_on(run))).delete_volume(run.ctxt, volume=wanted, order=run.order, snapshots=())


def restore_on_pool(services: Services, run: RestoreRun) -> None:
    with services.database.reader() as session:
        wanted = payloads.backup(session, backups.get(session, run.resource_id), None)
        volume = payloads.volume(session, volumes.get(session, run.state.volume_id))
    services.volume(str(volume_host.worker(run))).restore_backup(run.ctxt, volume=volume, order=run.order, backup=wanted)


def record_restored(session: Session, run: RestoreRun) -> None:
    """The volume is what the backup's was: it can be booted from, if that could. Records of other clouds may not say."""
    backup = _row(session, run.resource_id)
    if backup is not None:
        backups.set_status(session, backup, BackupStatus.AVAILABLE, among=_RESTORING)
    if run.state.is_new:
        volumes.finish(session, run.state.volume_id, "create_volume", launched_at=utcnow())
        attachments.settle(session, run.state.volume_id)
        return
    known = backup.of_volume if backup is not None else {}
    also = {"bootable": known["bootable"] is True, "image_metadata": dict(known.get("image_metadata") or {})} if "bootable" in known else {}
    volumes.finish(session, run.state.volume_id, "restore_volume", **also)


def try_another_pool(services: Services, run: RestoreRun, error: errors.NovaLiteError) -> RestoreState | None:
    """A pool where a new volume could not be restored, as its worker may not reach the backup, is not tried again."""
    if not run.state.is_new or not run.state.host or run.attempt >= _ATTEMPTS:
        return None
    LOG.warning("backup %s: pool %s could not restore it: %s", run.resource_id, run.state.host, error.text)
    return dataclasses.replace(run.state, host="", tried=(*run.state.tried, run.state.host))


def restore_failed(session: Session, run: RestoreRun, error: errors.NovaLiteError) -> None:
    """The backup is as it was; the volume shows that it is not what it should be."""
    backup = _row(session, run.resource_id)
    if backup is not None:
        backups.set_status(session, backup, BackupStatus.AVAILABLE, among=_RESTORING)
    if not volumes.fail(session, run.state.volume_id, "restore_volume"):
        volumes.fail(session, run.state.volume_id, "create_volume")


RESTORE = Workflow(
    "restore_volume_backup", RestoreState,
    (
        ControlStep("place_volume", place_volume, undo=release_pool),
        HostStep("create_on_pool", new_on, create_on_pool, binary=VOLUME, undo=HostUndo(remove_from_pool, when_down=WhenDown.WAIT)),
        HostStep("restore_on_pool", volume_host.worker, restore_on_pool, binary=VOLUME),
        RowStep("finish", record=record_restored),
    ),
    failed=restore_failed, again=try_another_pool, resource_type="backup",
)
