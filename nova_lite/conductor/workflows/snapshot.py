# SPDX-License-Identifier: Apache-2.0
"""createImage and createBackup: a copy of the root disk becomes an image; other workflows use the same steps.

The image's row is made with the action; its id is the action's input `image_id`.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import ControlStep, HostStep, HostUndo, RowStep, Run, Step, WhenDown, Workflow
from nova_lite.conductor.steps import find_host
from nova_lite.conductor.steps.find_host import OnHost
from nova_lite.db.compute import server_images, servers
from nova_lite.db.image import images
from nova_lite.lifecycle.servers import TASKS_OF
from nova_lite.rpc.compute import ImageUpload
from nova_lite.values.image_grant import Access, ImageGrant


@dataclasses.dataclass(frozen=True)
class ImageState(OnHost):
    """`image_id`: what the copy becomes."""

    image_id: str = ""


M = TypeVar("M", bound=ImageState)


@dataclasses.dataclass(frozen=True)
class SnapshotState(ImageState):
    """`rotation`: how many backups of `backup_type` stay."""

    backup_type: str = ""
    rotation: int = 0


SnapshotRun = Run[SnapshotState]


@dataclasses.dataclass(frozen=True)
class Tasks:
    """The tasks shown meanwhile; `before`: those that the action may show when the copy is made."""

    before: tuple[str, ...]
    pending: str
    uploading: str


def steps(state: type[M], tasks: Tasks) -> tuple[Step[M], ...]:
    """Make the copy, upload it, remove it from the host; when undone, there is neither copy nor image.

    `state`: the class of the workflow's.
    """

    def copier(run: Run[M]) -> str | None:
        """The worker of the server's host; None: it boots from a volume, and is not copied."""
        return find_host.agent(run) if run.state.image_id else None

    def record_copied(session: Session, run: Run[M]) -> None:
        servers.show_task(session, run.resource_id, among=tasks.before, task=tasks.pending)

    def upload_image(services: Services, run: Run[M]) -> None:
        """The host sends the copy to the image service."""
        with services.database.writer() as session:
            servers.show_task(session, run.resource_id, among=(tasks.pending,), task=tasks.uploading)
            owner = images.get(session, run.state.image_id, project_id=None).owner
        environment = services.environment
        grant = ImageGrant(run.state.image_id, Access.WRITE, run.state.agent)
        url = f"{environment.public_url}/image/v2/images/{run.state.image_id}/file"
        services.compute(run.state.agent).upload_snapshot(
            run.ctxt, server_id=run.resource_id, order=run.order,
            image=ImageUpload(id=run.state.image_id, url=url, token=environment.image_token(grant, project_id=owner)))

    return (
        HostStep("compute_snapshot_instance", copier, make_copy, record=record_copied,
                 undo=HostUndo(remove_copy, record=discard_image)),
        HostStep("upload_image", copier, upload_image, undo=forget_image, is_done=is_active),
        HostStep("discard_copy", copier, remove_copy, when_down=WhenDown.SKIP),
    )


def is_active(services: Services, run: Run[M]) -> bool:
    """The image has its data: an upload that is refused came after one whose report was lost."""
    with services.database.reader() as session:
        image = images.by_ids(session, [run.state.image_id]).get(run.state.image_id)
    return image is not None and image.status == images.ACTIVE


def make_copy(services: Services, run: Run[M]) -> None:
    """The host copies the disk."""
    services.compute(run.state.agent).snapshot(
        run.ctxt, server_id=run.resource_id, order=run.order, image_id=run.state.image_id)


def remove_copy(services: Services, run: Run[M]) -> None:
    """The host removes the copy; a worker that is down removes it later by itself."""
    services.compute(run.state.agent).discard_snapshot(
        run.ctxt, server_id=run.resource_id, order=run.order, image_id=run.state.image_id)


def discard_image(session: Session, run: Run[M]) -> None:
    server_images.discard(session, [run.state.image_id] if run.state.image_id else [])


def forget_image(services: Services, run: Run[M]) -> None:
    """There is no image."""
    with services.database.writer() as session:
        server_images.discard(session, [run.state.image_id])


def find_server(services: Services, run: SnapshotRun) -> SnapshotState:
    host, agent = find_host.find_host(services, run.resource_id)
    return dataclasses.replace(run.state, host=host, agent=agent)


def record_begun(session: Session, run: SnapshotRun) -> None:
    """Shown as under way."""
    servers.show_task(session, run.resource_id, among=("image_snapshot_pending",), task="image_snapshot")


def record_image(session: Session, run: SnapshotRun) -> None:
    """The server is free again, in the transaction that ends the action."""
    servers.finish(session, run.resource_id, "create_image")


def record_backup(session: Session, run: SnapshotRun) -> None:
    """Backups beyond the rotation go in the transaction that ends the action."""
    server_images.rotate(session, run.resource_id, image_id=run.state.image_id, backup_type=run.state.backup_type,
                         keep=run.state.rotation)
    servers.finish(session, run.resource_id, "create_backup")


def image_failed(session: Session, run: SnapshotRun, error: errors.NovaLiteError) -> None:
    """The server is as it was; the action says why there is no image."""
    servers.abandon(session, run.resource_id, "create_image", fault=None, is_fatal=False)


def backup_failed(session: Session, run: SnapshotRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "create_backup", fault=None, is_fatal=False)


CREATE_IMAGE = Workflow(
    "create_image", SnapshotState,
    (
        ControlStep("begin_snapshot", find_server, record=record_begun, undo=forget_image),
        *steps(SnapshotState, Tasks(TASKS_OF["create_image"][:2], "image_pending_upload", "image_uploading")),
        RowStep("finish_image", record=record_image),
    ),
    failed=image_failed,
)
CREATE_BACKUP = Workflow(
    "create_backup", SnapshotState,
    (
        ControlStep("find_server", find_server, undo=forget_image),
        *steps(SnapshotState, Tasks(TASKS_OF["create_backup"][:1], "image_pending_upload", "image_uploading")),
        RowStep("rotate_backups", record=record_backup),
    ),
    failed=backup_failed,
)
