# SPDX-License-Identifier: Apache-2.0
"""Volumes: create, delete, extend, revert and upload, each on the worker of its pool."""

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
from nova_lite.conductor.steps import extended_volumes, volume_host, waiting_builds
from nova_lite.conductor.steps.volume_host import OnPool
from nova_lite.db.base import utcnow
from nova_lite.db.compute import server_images
from nova_lite.db.image import images
from nova_lite.db.volume import attachments, pools, snapshots, volumes
from nova_lite.lifecycle.volumes import AttachmentStatus
from nova_lite.payloads import guest
from nova_lite.payloads import volumes as payloads
from nova_lite.rpc.compute import ImageUpload
from nova_lite.rpc.scheduler import PoolRequest
from nova_lite.rpc.volume import Content, ContentSource
from nova_lite.values.image_grant import Access, ImageGrant

LOG = logging.getLogger(__name__)
# Pools that a create tries.
_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class CreateState(OnPool):
    """`source`, `source_id`: what the volume is made from. `agent`: the host whose guest is to reach it. `tried`: pools that failed."""

    source: str = "blank"
    source_id: str = ""
    zone: str | None = None
    agent: str | None = None
    tried: tuple[str, ...] = ()


CreateRun = Run[CreateState]


def pick_pool(services: Services, run: CreateRun) -> CreateState:
    """Have a scheduler pick and claim a pool; a copy of a snapshot or a volume is made on its backend."""
    with services.database.reader() as session:
        row = volumes.get(session, run.resource_id)
        source = _source_volume(session, run.state)
        request = PoolRequest(
            volume_id=row.id, project_id=row.project_id, size_gb=row.size_gb, availability_zone=row.availability_zone,
            extra_specs=payloads.extra_specs(session, row), is_shared=row.multiattach, excluded=run.state.tried,
            forced_backend=source.host.partition("#")[0] if source is not None and source.host else None, agent=run.state.agent)
    placed = services.scheduler.pick_pool(run.ctxt, request=request)
    return dataclasses.replace(run.state, host=placed.pool, zone=placed.availability_zone)


def _source_volume(session: Session, state: CreateState) -> volumes.Volume | None:
    """The volume that the new one is copied from, or whose snapshot is; None: it is not copied from one."""
    if state.source == ContentSource.SNAPSHOT:
        return volumes.get(session, snapshots.get(session, state.source_id).volume_id)
    return volumes.get(session, state.source_id) if state.source == ContentSource.VOLUME else None


def release_pool(services: Services, run: CreateRun) -> None:
    """The pool gets back what was claimed."""
    with services.database.writer() as session:
        row = volume_host.lock(session, run.resource_id)
        if row is not None:
            pools.release(session, row)


def create_on_pool(services: Services, run: CreateRun) -> None:
    """The worker makes the volume."""
    with services.database.reader() as session:
        row = volumes.get(session, run.resource_id)
        wanted, content = payloads.volume(session, row), _content(session, services, run)
    services.volume(str(volume_host.worker(run))).create_volume(run.ctxt, volume=wanted, order=run.order, content=content)


def _content(session: Session, services: Services, run: CreateRun) -> Content:
    """:raises errors.NotFound, errors.WorkerError: what it is to be made from has gone."""
    source, of = ContentSource(run.state.source), run.state.source_id
    if source is ContentSource.SNAPSHOT:
        snapshot = snapshots.get(session, of)
        return Content(source=source, id=of, provider_name=snapshot.provider_name, size_gb=snapshot.size_gb)
    if source is ContentSource.VOLUME:
        origin = volumes.get(session, of)
        return Content(source=source, id=of, provider_name=origin.provider_name, size_gb=origin.size_gb)
    if source is ContentSource.IMAGE:
        image = images.source(session, of)
        if image is None or image.status != images.ACTIVE:
            raise errors.WorkerError(reason=f"image {of} was deleted in the meantime")
        return Content(source=source, id=of, image=guest.image_payload(
            services.environment, image, host=str(volume_host.worker(run)), project_id=run.ctxt.project_id, properties={}))
    return Content()


def record_created(session: Session, run: CreateRun) -> None:
    volumes.finish(session, run.resource_id, "create_volume", launched_at=utcnow())
    attachments.settle(session, run.resource_id)
    waiting_builds.wake(session, waiting_builds.servers_of(session, run.resource_id))


def notify_builds(services: Services, run: CreateRun) -> None:
    """A server whose build waits for the volume goes on."""
    with services.database.reader() as session:
        server_ids = waiting_builds.servers_of(session, run.resource_id)
    waiting_builds.go_on(services, run.ctxt, server_ids)


def remove_from_pool(services: Services, run: CreateRun) -> None:
    """The pool has nothing of the volume."""
    with services.database.reader() as session:
        wanted = payloads.volume(session, volumes.get(session, run.resource_id))
    services.volume(str(volume_host.worker(run))).delete_volume(run.ctxt, volume=wanted, order=run.order, snapshots=())


def try_another_pool(services: Services, run: CreateRun, error: errors.NovaLiteError) -> CreateState | None:
    """A pool that failed is not tried again; a placement that failed is final."""
    if not run.state.host or run.attempt >= _ATTEMPTS:
        return None
    LOG.warning("volume %s: pool %s could not make it: %s", run.resource_id, run.state.host, error.text)
    return dataclasses.replace(run.state, host="", tried=(*run.state.tried, run.state.host))


def create_failed(session: Session, run: CreateRun, error: errors.NovaLiteError) -> None:
    volumes.fail(session, run.resource_id, "create_volume")
    waiting_builds.wake(session, waiting_builds.servers_of(session, run.resource_id))


CREATE = Workflow(
    "create_volume", CreateState,
    (
        ControlStep("pick_pool", pick_pool, undo=release_pool),
        HostStep("create_on_pool", volume_host.worker, create_on_pool, binary=VOLUME, record=record_created, after=notify_builds,
                 undo=HostUndo(remove_from_pool, when_down=WhenDown.WAIT)),
    ),
    failed=create_failed, again=try_another_pool, resource_type="volume",
)


@dataclasses.dataclass(frozen=True)
class DeleteState(OnPool):
    """`is_cascade`: its snapshots go with it."""

    is_cascade: bool = False


DeleteRun = Run[DeleteState]


def delete_on_pool(services: Services, run: DeleteRun) -> None:
    with services.database.reader() as session:
        row = volumes.get(session, run.resource_id)
        of = snapshots.of_volume(session, row.id) if run.state.is_cascade else []
        going = tuple(payloads.snapshot(session, snapshot, row) for snapshot in of)
        wanted = payloads.volume(session, row)
    services.volume(str(volume_host.worker(run))).delete_volume(run.ctxt, volume=wanted, order=run.order, snapshots=going)


def record_deleted(session: Session, run: DeleteRun) -> None:
    """Nothing is left in the pool: the rows go in the transaction that ends the action."""
    row = volume_host.lock(session, run.resource_id)
    if row is None:
        return
    for snapshot in snapshots.of_volume(session, row.id) if run.state.is_cascade else ():
        snapshots.delete(session, snapshot.id)
    pools.release(session, row)
    session.delete(row)


def delete_failed(session: Session, run: DeleteRun, error: errors.NovaLiteError) -> None:
    volumes.fail(session, run.resource_id, "delete_volume")


DELETE = Workflow(
    "delete_volume", DeleteState,
    (
        ControlStep("find_pool", volume_host.find_pool),
        HostStep("delete_on_pool", volume_host.worker, delete_on_pool, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("forget", record=record_deleted),
    ),
    failed=delete_failed, resource_type="volume",
)


@dataclasses.dataclass(frozen=True)
class ExtendState(OnPool):
    """`size_gb`: to be. `server_id`: whose guest must be shown the new size, on the worker `agent`."""

    size_gb: int = 0
    server_id: str = ""
    agent: str | None = None


ExtendRun = Run[ExtendState]


def claim_growth(services: Services, run: ExtendRun) -> ExtendState:
    """The pool has room for the new size; one server has the volume, if any."""
    with services.database.writer() as session:
        row = volumes.get_locked(session, run.resource_id)
        if row.host is None or not pools.claim(session, row, pool=row.host, size_gb=run.state.size_gb):
            raise errors.NoValidBackend(reason=f"The volume's storage pool has not {run.state.size_gb - row.claimed_gb} GiB left.")
        attached = volume_host.guest_of(session, row.id, among=(AttachmentStatus.ATTACHED,))
        state = dataclasses.replace(run.state, host=row.host)
        return state if attached is None else dataclasses.replace(state, server_id=str(attached.server_id), agent=attached.host)


def release_growth(services: Services, run: ExtendRun) -> None:
    with services.database.writer() as session:
        row = volume_host.lock(session, run.resource_id)
        if row is not None and row.host is not None:
            pools.claim(session, row, pool=row.host, size_gb=row.size_gb)


def extend_on_pool(services: Services, run: ExtendRun) -> None:
    with services.database.reader() as session:
        wanted = payloads.volume(session, volumes.get(session, run.resource_id), size_gb=run.state.size_gb)
    services.volume(str(volume_host.worker(run))).extend_volume(run.ctxt, volume=wanted, order=run.order)


def record_extended(session: Session, run: ExtendRun) -> None:
    """The volume is as large, whether its guest has noticed or not."""
    row = volume_host.lock(session, run.resource_id)
    if row is not None:
        row.size_gb = run.state.size_gb


def show_guest(services: Services, run: ExtendRun) -> None:
    services.compute(str(run.state.agent)).resize_volume(
        run.ctxt, server_id=run.state.server_id, order=run.order, volume_id=run.resource_id, size_gb=run.state.size_gb)


def finish_extend(session: Session, run: ExtendRun) -> None:
    if volumes.finish(session, run.resource_id, "extend_volume") and run.state.server_id:
        extended_volumes.record(session, run, server_id=run.state.server_id, host=run.state.agent)


def extend_failed(session: Session, run: ExtendRun, error: errors.NovaLiteError) -> None:
    """The volume is as it was."""
    volumes.fail(session, run.resource_id, "extend_volume")


EXTEND = Workflow(
    "extend_volume", ExtendState,
    (
        ControlStep("claim_growth", claim_growth, undo=release_growth),
        HostStep("extend_on_pool", volume_host.worker, extend_on_pool, binary=VOLUME, record=record_extended, pivot=True),
        HostStep("show_guest", lambda run: run.state.agent, show_guest, when_down=WhenDown.SKIP),
        RowStep("finish", record=finish_extend),
    ),
    failed=extend_failed, resource_type="volume",
)


@dataclasses.dataclass(frozen=True)
class RevertState(OnPool):
    """`snapshot_id`: whose content the volume gets."""

    snapshot_id: str = ""


RevertRun = Run[RevertState]


def revert_on_pool(services: Services, run: RevertRun) -> None:
    with services.database.reader() as session:
        row = volumes.get(session, run.resource_id)
        wanted = payloads.volume(session, row)
        snapshot = payloads.snapshot(session, snapshots.get(session, run.state.snapshot_id), row)
    services.volume(str(volume_host.worker(run))).revert_volume(run.ctxt, volume=wanted, order=run.order, snapshot=snapshot)


def record_reverted(session: Session, run: RevertRun) -> None:
    volumes.finish(session, run.resource_id, "revert_volume")
    snapshots.end_restoring(session, run.state.snapshot_id)


def revert_failed(session: Session, run: RevertRun, error: errors.NovaLiteError) -> None:
    volumes.fail(session, run.resource_id, "revert_volume")
    snapshots.end_restoring(session, run.state.snapshot_id)


REVERT = Workflow(
    "revert_volume", RevertState,
    (
        ControlStep("find_pool", volume_host.find_pool),
        HostStep("revert_on_pool", volume_host.worker, revert_on_pool, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("finish", record=record_reverted),
    ),
    failed=revert_failed, resource_type="volume",
)


@dataclasses.dataclass(frozen=True)
class UploadState(OnPool):
    """`image_id`: what the volume's content becomes, in `disk_format`."""

    image_id: str = ""
    disk_format: str = "raw"


UploadRun = Run[UploadState]


def forget_image(services: Services, run: UploadRun) -> None:
    """There is no image."""
    with services.database.writer() as session:
        server_images.discard(session, [run.state.image_id])


def upload_on_pool(services: Services, run: UploadRun) -> None:
    """The worker sends the content to the image service."""
    worker, environment = str(volume_host.worker(run)), services.environment
    with services.database.reader() as session:
        wanted = payloads.volume(session, volumes.get(session, run.resource_id))
        owner = images.get(session, run.state.image_id, project_id=None).owner
    token = environment.image_token(ImageGrant(run.state.image_id, Access.WRITE, worker), project_id=owner)
    url = f"{environment.public_url}/image/v2/images/{run.state.image_id}/file"
    services.volume(worker).upload_volume(
        run.ctxt, volume=wanted, order=run.order, image=ImageUpload(id=run.state.image_id, url=url, token=token),
        disk_format=run.state.disk_format)


def is_uploaded(services: Services, run: UploadRun) -> bool:
    """The image has its data: an upload that is refused came after one whose report was lost."""
    with services.database.reader() as session:
        image = images.by_ids(session, [run.state.image_id]).get(run.state.image_id)
    return image is not None and image.status == images.ACTIVE


def record_uploaded(session: Session, run: UploadRun) -> None:
    volumes.finish(session, run.resource_id, "upload_volume")


def upload_failed(session: Session, run: UploadRun, error: errors.NovaLiteError) -> None:
    """The volume is as it was; the action says why there is no image."""
    volumes.fail(session, run.resource_id, "upload_volume")


UPLOAD = Workflow(
    "upload_volume", UploadState,
    (
        ControlStep("find_pool", volume_host.find_pool, undo=forget_image),
        HostStep("upload_on_pool", volume_host.worker, upload_on_pool, binary=VOLUME, is_done=is_uploaded),
        RowStep("finish", record=record_uploaded),
    ),
    failed=upload_failed, resource_type="volume",
)
