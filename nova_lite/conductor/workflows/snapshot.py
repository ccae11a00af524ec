# SPDX-License-Identifier: Apache-2.0
"""createImage and createBackup: a copy of the root disk becomes an image; the steps serve whoever needs such a copy.

The image's row is made by whoever begins the action; its id is the action's input `image_id`.
"""

from __future__ import annotations

import dataclasses
import functools

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.conductor.steps import call_host
from nova_lite.db.compute import server_images, servers
from nova_lite.db.image import images
from nova_lite.lifecycle.servers import TASKS_OF
from nova_lite.rpc.compute import ImageUpload

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Tasks:
    """The tasks shown meanwhile; `begun`: those that the action may show before."""

    begun: tuple[str, ...]
    pending: str
    uploading: str


def image_id(run: Run) -> str:
    """The image that the copy becomes."""
    return str(run.inputs["image_id"])


def steps(tasks: Tasks) -> tuple[Step, ...]:
    """Make the copy, upload it, remove it from the host; when undone, there is neither copy nor image."""

    def compute_snapshot_instance(run: Run) -> Saved:
        """The host copies the disk. (Nova's word for this event: clients look for it.)"""
        where = _place(run)
        call_host.compute(run, where["agent"], functools.partial(
            run.services.compute(where["agent"]).snapshot, run.ctxt, server_id=run.server_id, image_id=image_id(run),
            fence=run.fence))
        return where

    def record_copied(session: Session, run: Run) -> None:
        servers.show_task(session, run.server_id, among=tasks.begun, task=tasks.pending)

    def upload_image(run: Run) -> None:
        """The host sends the copy to the image service."""
        with run.services.database.writer() as session:
            servers.show_task(session, run.server_id, among=(tasks.pending,), task=tasks.uploading)
        if not _is_active(run):
            _upload(run)

    def discard_copy(run: Run) -> None:
        """The host's copy has served; a worker that has been down until now is just starting."""
        try:
            run.services.compute(run.saved["agent"]).discard_snapshot(
                run.ctxt, server_id=run.server_id, image_id=image_id(run))
        except errors.ServiceDown as down:
            LOG.warning("server %s: its copy stays for some hours: %s", run.server_id, down.text)

    return (
        Step(compute_snapshot_instance, record=record_copied, undo=forget_all),
        Step(upload_image, undo=forget_image),
        Step(discard_copy),
    )


def _upload(run: Run) -> None:
    """:raises errors.ImageFailed: the image service did not take it."""
    with run.services.database.reader() as session:
        owner = images.get(session, image_id(run), project_id=None).owner
    url = f"{run.services.public_url}/image/v2/images/{image_id(run)}/file"
    wanted = ImageUpload(id=image_id(run), url=url, token=run.services.image_token(owner))
    try:
        call_host.compute(run, run.saved["agent"], functools.partial(
            run.services.compute(run.saved["agent"]).upload_snapshot, run.ctxt, server_id=run.server_id, fence=run.fence,
            image=wanted))
    except errors.ImageFailed:
        # Its answer may have been lost: then a second try was refused, since the image has its data.
        if not _is_active(run):
            raise


def _is_active(run: Run) -> bool:
    with run.services.database.reader() as session:
        return images.get(session, image_id(run), project_id=None).status == images.ACTIVE


def forget_all(run: Run) -> None:
    """Neither copy nor image is left."""
    forget_image(run)
    if "agent" not in run.saved:
        with run.services.database.reader() as session:
            run.saved["agent"] = servers.get_any(session, run.server_id).agent
    _discard_copy(run)


def forget_image(run: Run) -> None:
    with run.services.database.writer() as session:
        server_images.discard(session, [image_id(run)])


def _discard_copy(run: Run) -> None:
    if run.saved["agent"] is None:
        return
    run.services.unless_down("nova-compute", run.saved["agent"], functools.partial(
        run.services.compute(run.saved["agent"]).discard_snapshot, run.ctxt, server_id=run.server_id, image_id=image_id(run)))


def _place(run: Run) -> dict[str, str]:
    """:raises errors.WorkerError: the server has no host."""
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
    if server.agent is None or server.host is None:
        raise errors.WorkerError(reason="the server is on no host")
    return {"host": server.host, "agent": server.agent}


def begin_snapshot(run: Run) -> None:
    """Shown as under way."""


def record_begun(session: Session, run: Run) -> None:
    servers.show_task(session, run.server_id, among=("image_snapshot_pending",), task="image_snapshot")


def finish_image(run: Run) -> None:
    """The server is free again, in the transaction that ends the action."""


def record_image(session: Session, run: Run) -> None:
    servers.finish(session, run.server_id, "create_image")


def rotate_backups(run: Run) -> None:
    """Older backups than the server is to have go, in the transaction that ends the action."""


def record_backup(session: Session, run: Run) -> None:
    server_images.rotate(
        session, run.server_id, image_id=image_id(run), backup_type=str(run.inputs["backup_type"]), keep=int(run.inputs["rotation"]))
    servers.finish(session, run.server_id, "create_backup")


def image_fails(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """The server is as it was; the action says why there is no image."""
    servers.abandon(session, run.server_id, "create_image", fault=None, is_fatal=False)


def backup_fails(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.server_id, "create_backup", fault=None, is_fatal=False)


CREATE_IMAGE = Workflow(
    "create_image",
    (
        Step(begin_snapshot, record=record_begun, undo=forget_image),
        *steps(Tasks(TASKS_OF["create_image"][:2], "image_pending_upload", "image_uploading")),
        Step(finish_image, record=record_image),
    ),
    failed=image_fails,
)
CREATE_BACKUP = Workflow(
    "create_backup",
    (
        *steps(Tasks(TASKS_OF["create_backup"][:1], "image_pending_upload", "image_uploading")),
        Step(rotate_backups, record=record_backup),
    ),
    failed=backup_fails,
)
