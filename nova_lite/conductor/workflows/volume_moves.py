# SPDX-License-Identifier: Apache-2.0
"""Retype and migrate: a volume gets another type, or another pool. Its copy is a row of its own until it takes the volume's place."""

from __future__ import annotations

import dataclasses
import uuid

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import (
    VOLUME,
    ControlStep,
    HostStep,
    HostUndo,
    Record,
    RowStep,
    Run,
    Step,
    WhenDown,
    Workflow,
)
from nova_lite.conductor.steps import volume_host
from nova_lite.conductor.steps.volume_host import OnPool
from nova_lite.db.volume import pools, volume_types, volumes
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus
from nova_lite.payloads import volumes as payloads
from nova_lite.rpc.scheduler import PoolRequest
from nova_lite.rpc.volume import Content, ContentSource

_NAMESPACE = uuid.UUID("5b0f3f0e-6c0a-4f0e-9d55-0b7b8c1a9d11")


@dataclasses.dataclass(frozen=True)
class MoveState(OnPool):
    """`host`: the pool that a migration leads to, then the one that was picked. `source`: the volume's. `copy_id`: of the copy's row, empty:
    the volume stays where it is. `volume_type_id`: of a retype, which changes the pool only if it `may_migrate`.
    """

    source: str = ""
    copy_id: str = ""
    volume_type_id: str = ""
    may_migrate: bool = False


MoveRun = Run[MoveState]


def pick_pool(services: Services, run: MoveRun) -> MoveState:
    """Have a scheduler claim room for the copy, unless a retype's new type fits where the volume is.

    :raises errors.NoValidBackend: no pool fits. :raises errors.WorkerError: the volume cannot be copied there.
    """
    copy_id = str(uuid.uuid5(_NAMESPACE, f"{run.order.nonce}.{run.action_id}.{run.attempt}"))
    with services.database.writer() as session:
        row = volumes.get(session, run.resource_id)
        specs = payloads.specs_of(session, run.state.volume_type_id) if run.state.volume_type_id else payloads.extra_specs(session, row)
        source = row.host or ""
        if session.get(Volume, copy_id) is None:
            session.add(_copy(row, copy_id))
    request = PoolRequest(volume_id=copy_id, project_id=row.project_id, size_gb=row.size_gb, extra_specs=specs)
    state = dataclasses.replace(run.state, source=source, copy_id=copy_id)
    if not run.state.volume_type_id:
        return _check(row, dataclasses.replace(state, host=_pick(services, run, request, forced_pool=run.state.host)))
    try:
        picked = _pick(services, run, dataclasses.replace(request, size_gb=0), forced_pool=source)
    except errors.NoValidBackend:
        if not run.state.may_migrate:
            raise
        return _check(row, dataclasses.replace(state, host=_pick(services, run, request, excluded=(source,))))
    if picked != source:  # an earlier delivery of this step has claimed another one
        return _check(row, dataclasses.replace(state, host=picked))
    _forget_copy(services, copy_id)
    return dataclasses.replace(state, host=source, copy_id="")


def _copy(row: Volume, copy_id: str) -> Volume:
    return Volume(
        id=copy_id, project_id=row.project_id, user_id=row.user_id, name=row.name, description=row.description, size_gb=row.size_gb,
        status=str(VolumeStatus.CREATING), migration_status=f"target:{row.id}", volume_type_id=row.volume_type_id, consumes_quota=False,
        provider_name=volumes.provider_name(copy_id), multiattach=row.multiattach, bootable=row.bootable)


def _pick(
    services: Services, run: MoveRun, request: PoolRequest, *, forced_pool: str | None = None, excluded: tuple[str, ...] = (),
) -> str:
    wanted = dataclasses.replace(request, forced_pool=forced_pool, excluded=excluded)
    return services.scheduler.pick_pool(run.ctxt, request=wanted).pool


def _check(row: Volume, state: MoveState) -> MoveState:
    """:raises errors.WorkerError: the volume is in use, or the pool is of another worker, which cannot read the source."""
    if row.previous_status == VolumeStatus.IN_USE or row.status == VolumeStatus.IN_USE:
        raise errors.WorkerError(reason=f"Volume {row.id} is in use: only volumes that are available move between pools.")
    if state.source.partition("@")[0] != state.host.partition("@")[0]:
        raise errors.WorkerError(reason=f"Volume {row.id} cannot be copied to {state.host}: it is a pool of another host.")
    return state


def forget_copy(services: Services, run: MoveRun) -> None:
    """There is no copy, and nothing is claimed for one."""
    _forget_copy(services, str(uuid.uuid5(_NAMESPACE, f"{run.order.nonce}.{run.action_id}.{run.attempt}")))


def _forget_copy(services: Services, copy_id: str) -> None:
    with services.database.writer() as session:
        row = volume_host.lock(session, copy_id)
        if row is not None:
            pools.release(session, row)
            session.delete(row)


def _copier(run: MoveRun) -> str | None:
    """The worker that makes the copy; None: none is made."""
    return volume_host.worker(run) if run.state.copy_id else None


def copy_volume(services: Services, run: MoveRun) -> None:
    with services.database.reader() as session:
        row, copy = volumes.get(session, run.resource_id), volumes.get(session, run.state.copy_id)
        wanted, source = payloads.volume(session, copy), payloads.volume(session, row)
    content = Content(source=ContentSource.VOLUME, id=source.volume_id, provider_name=source.provider_name, size_gb=source.size_gb,
                      backend=source.backend, pool=source.pool)
    services.volume(str(volume_host.worker(run))).create_volume(run.ctxt, volume=wanted, order=run.order, content=content)


def delete_copy(services: Services, run: MoveRun) -> None:
    """Before the switch the copy, after it what the volume was: the row of the copy has it."""
    with services.database.reader() as session:
        wanted = payloads.volume(session, volumes.get(session, run.state.copy_id))
    services.volume(str(volume_host.worker(run))).delete_volume(run.ctxt, volume=wanted, order=run.order, snapshots=())


def record_switched(session: Session, run: MoveRun) -> None:
    """The copy is the volume, and the copy's row has what the volume was; the new type counts."""
    row = volume_host.lock(session, run.resource_id)
    copy = volume_host.lock(session, run.state.copy_id) if run.state.copy_id else None
    if row is None:
        return
    if copy is not None:
        for column in ("host", "provider_name", "claimed_gb"):
            mine, other = getattr(row, column), getattr(copy, column)
            setattr(row, column, other)
            setattr(copy, column, mine)
        row.migration_status = "success"
    if run.state.volume_type_id:
        kind = volume_types.get_by_id(session, run.state.volume_type_id)
        row.volume_type_id, row.multiattach = kind.id, kind.is_multiattach
    session.flush()


def record_retyped(session: Session, run: MoveRun) -> None:
    _end_copy(session, run)
    volumes.finish(session, run.resource_id, "retype_volume")


def record_migrated(session: Session, run: MoveRun) -> None:
    _end_copy(session, run)
    volumes.end_migration(session, run.resource_id, status="success")


def _end_copy(session: Session, run: MoveRun) -> None:
    copy = volume_host.lock(session, run.state.copy_id) if run.state.copy_id else None
    if copy is not None:
        pools.release(session, copy)
        session.delete(copy)


def retype_failed(session: Session, run: MoveRun, error: errors.NovaLiteError) -> None:
    """The volume is as it was."""
    volumes.fail(session, run.resource_id, "retype_volume")


def migrate_failed(session: Session, run: MoveRun, error: errors.NovaLiteError) -> None:
    volumes.end_migration(session, run.resource_id, status="error")


def _steps(record: Record[MoveState]) -> tuple[Step[MoveState], ...]:
    return (
        ControlStep("pick_pool", pick_pool, undo=forget_copy),
        HostStep("copy_volume", _copier, copy_volume, binary=VOLUME, undo=HostUndo(delete_copy, when_down=WhenDown.WAIT)),
        RowStep("switch", record=record_switched, pivot=True),
        HostStep("delete_source", _copier, delete_copy, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("finish", record=record),
    )


RETYPE = Workflow("retype_volume", MoveState, _steps(record_retyped), failed=retype_failed, resource_type="volume")
MIGRATE = Workflow("migrate_volume", MoveState, _steps(record_migrated), failed=migrate_failed, resource_type="volume")
