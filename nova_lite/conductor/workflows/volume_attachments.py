# SPDX-License-Identifier: Apache-2.0
"""Attachments of volumes: exported by the volume's worker before the guest has the disk, and ended after it has let go."""

from __future__ import annotations

import dataclasses
import json

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
from nova_lite.conductor.steps import waiting_builds
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions, servers
from nova_lite.db.hosts import hosts
from nova_lite.db.volume import attachments, volumes
from nova_lite.lifecycle.volumes import AttachmentStatus
from nova_lite.payloads import volumes as payloads
from nova_lite.rpc.volume import Export

_DETACHING = AttachmentStatus.DETACHING


@dataclasses.dataclass(frozen=True)
class AttachmentState:
    """`host`, `agent`: the server's, empty: it is on none. `pool`: the volume's. `connection`: sealed, as the worker reported it.

    `server_id`: whose it is. `is_tagged`: the guest's metadata says where the disk is. `deletes_volume`: with the attachment, since its server is deleted; `delete_id`: the action that does.
    """

    attachment_id: str = ""
    host: str = ""
    agent: str = ""
    pool: str = ""
    volume_id: str = ""
    server_id: str = ""
    is_tagged: bool = False
    connection: str = ""
    deletes_volume: bool = False
    delete_id: int = 0


AttachmentRun = Run[AttachmentState]


def _compute(run: AttachmentRun) -> str | None:
    """The worker of the server's host; None: it is on none."""
    return run.state.agent or None


def _storage(run: AttachmentRun) -> str | None:
    """The worker of the volume's pool; None: there is none, or nothing is exported to no host."""
    return run.state.pool.partition("@")[0] or None


def _storage_for_host(run: AttachmentRun) -> str | None:
    return _storage(run) if run.state.agent else None


def find_server(services: Services, run: AttachmentRun) -> AttachmentState:
    """The server's host is the attachment's, before anything is exported to it."""
    with services.database.writer() as session:
        attachment = attachments.get(session, run.state.attachment_id)
        server = servers.get(session, str(attachment.server_id))
        volume = volumes.get(session, str(attachment.volume_id))
        if server.host is not None and server.agent is not None:
            attachment.host = server.agent
            attachment.connector = {"host": server.agent, "ip": hosts.ip_of(session, server.host)}
        return dataclasses.replace(run.state, host=server.host or "", agent=server.agent or "", pool=volume.host or "", volume_id=volume.id,
                                   is_tagged=attachment.tag is not None)


def find_attachment(services: Services, run: AttachmentRun) -> AttachmentState:
    """For an attachment whose server, if it has one, is left alone."""
    with services.database.reader() as session:
        attachment = attachments.get(session, run.state.attachment_id or run.resource_id)
        volume = volumes.get(session, str(attachment.volume_id))
    return dataclasses.replace(run.state, attachment_id=attachment.id, pool=volume.host or "", volume_id=volume.id,
                               server_id=attachment.server_id or "", agent=str((attachment.connector or {}).get("host") or ""))


def _export(services: Services, run: AttachmentRun) -> Export:
    with services.database.reader() as session:
        attachment = attachments.get(session, run.state.attachment_id)
        return payloads.export(session, attachment, volumes.get(session, str(attachment.volume_id)))


def export(services: Services, run: AttachmentRun) -> None:
    """The volume's worker lets the host reach it."""
    services.volume(str(_storage(run))).export_volume(run.ctxt, export=_export(services, run), order=run.order)


def unexport(services: Services, run: AttachmentRun) -> None:
    services.volume(str(_storage(run))).unexport_volume(run.ctxt, export=_export(services, run), order=run.order)


def take_connection(services: Services, run: AttachmentRun) -> AttachmentState:
    """It may hold a secret, which neither journal nor row shows."""
    return dataclasses.replace(run.state, connection=services.environment.seal_secret(json.dumps(run.result["connection_info"])))


def record_exported(session: Session, run: AttachmentRun) -> None:
    attachments.set_status(
        session, run.state.attachment_id, AttachmentStatus.ATTACHING, connection_info=run.state.connection,
        among=(AttachmentStatus.RESERVED, AttachmentStatus.ATTACHING, AttachmentStatus.ATTACHED))
    attachments.settle(session, run.state.volume_id)
    waiting_builds.wake(session, [run.state.server_id])


def plug_guest(services: Services, run: AttachmentRun) -> None:
    """The guest gets the disk."""
    with services.database.reader() as session:
        attachment = attachments.get(session, run.state.attachment_id)
        disk = payloads.disk(session, services.environment, attachment, volumes.get(session, run.state.volume_id))
    services.compute(run.state.agent).attach_volume(run.ctxt, server_id=str(attachment.server_id), order=run.order, disk=disk)


def unplug_guest(services: Services, run: AttachmentRun) -> None:
    """The guest lets go of the disk; it is requested to as often as the host's options say."""
    services.compute(run.state.agent).detach_volume(
        run.ctxt, server_id=run.resource_id, order=run.order, attachment_id=run.state.attachment_id)


def record_attached(session: Session, run: AttachmentRun) -> None:
    """A server on no host gets the volume when it is unshelved; it shows that it is in use from now on, as in Nova."""
    attachments.set_status(session, run.state.attachment_id, AttachmentStatus.ATTACHED, attached_at=utcnow(),
                           among=(AttachmentStatus.RESERVED, AttachmentStatus.ATTACHING))
    attachments.settle(session, run.state.volume_id)


def refresh_documents(services: Services, run: AttachmentRun) -> None:
    """Where a tagged disk is reaches the guest's metadata; a request that waits for the end is answered."""
    services.api.action_ended(run.ctxt, action_id=run.action_id)
    if run.state.is_tagged:
        services.conductor.refresh_documents(run.ctxt, server_id=run.resource_id)


def attach_failed(session: Session, run: AttachmentRun, error: errors.NovaLiteError) -> None:
    """Nobody has the volume."""
    _forget(session, run)


def _forget(session: Session, run: AttachmentRun) -> None:
    attachment = session.get(attachments.Attachment, run.state.attachment_id)
    if attachment is not None:
        attachments.delete(session, attachment.id)
        attachments.settle(session, str(attachment.volume_id))


def record_detached(session: Session, run: AttachmentRun) -> AttachmentState:
    """The volume is free; one that goes with its server begins to be deleted in the same transaction."""
    _forget(session, run)
    waiting_builds.wake(session, [run.state.server_id])
    if not run.state.deletes_volume:
        return run.state
    try:
        volume = volumes.get_locked(session, run.state.volume_id)
        volumes.begin(session, volume, "delete_volume")
    except (errors.NotFound, errors.WrongStatus):  # somebody else has it in hand, or another server
        return run.state
    begun = actions.begin(session, (actions.VOLUME, volume.id), "delete_volume",
                          actions.Requester(run.ctxt.request_id, run.ctxt.user_id, run.ctxt.project_id), inputs={"is_cascade": False})
    return dataclasses.replace(run.state, delete_id=begun.id)


def notify_detached(services: Services, run: AttachmentRun) -> None:
    refresh_documents(services, run)
    if run.state.delete_id:
        services.conductor.run(run.ctxt, action_id=run.state.delete_id)
    waiting_builds.go_on(services, run.ctxt, [run.state.server_id])


def detach_failed(session: Session, run: AttachmentRun, error: errors.NovaLiteError) -> None:
    """The guest did not let go: it has the volume, as before."""
    attachment = session.get(attachments.Attachment, run.state.attachment_id)
    if attachment is not None:
        attachments.set_status(session, attachment.id, AttachmentStatus.ATTACHED, among=(_DETACHING,))
        attachments.settle(session, str(attachment.volume_id))


def notify_exported(services: Services, run: AttachmentRun) -> None:
    services.api.action_ended(run.ctxt, action_id=run.action_id)
    waiting_builds.go_on(services, run.ctxt, [run.state.server_id])


def export_failed(session: Session, run: AttachmentRun, error: errors.NovaLiteError) -> None:
    """It is reserved, as before; a server that is built for it is not."""
    waiting_builds.wake(session, [run.state.server_id])


def record_unexported(session: Session, run: AttachmentRun) -> None:
    """It is reserved for its server, which is on no host; unless it has been exported to another one since."""
    if actions.newest(session, run.resource_id) != run.action_id:
        return
    attachments.set_status(session, run.state.attachment_id, AttachmentStatus.RESERVED, connection_info=None, connector=None, host=None,
                           among=(AttachmentStatus.ATTACHING, AttachmentStatus.ATTACHED, AttachmentStatus.RESERVED))
    attachments.settle(session, run.state.volume_id)


def end_failed(session: Session, run: AttachmentRun, error: errors.NovaLiteError) -> None:
    attachments.set_status(session, run.state.attachment_id, AttachmentStatus.ERROR_DETACHING, among=tuple(AttachmentStatus))


ATTACH = Workflow(
    "attach_volume", AttachmentState,
    (
        ControlStep("find_server", find_server),
        HostStep("export_volume", _storage_for_host, export, binary=VOLUME, take=take_connection, record=record_exported,
                 undo=HostUndo(unexport, when_down=WhenDown.WAIT)),
        HostStep("compute_attach_volume", _compute, plug_guest, undo=HostUndo(unplug_guest)),
        RowStep("finish", record=record_attached, after=refresh_documents),
    ),
    failed=attach_failed,
)
DETACH = Workflow(
    "detach_volume", AttachmentState,
    (
        ControlStep("find_server", find_server),
        HostStep("compute_detach_volume", _compute, unplug_guest, undo=HostUndo(plug_guest)),
        HostStep("unexport_volume", _storage_for_host, unexport, binary=VOLUME, when_down=WhenDown.WAIT, pivot=True),
        RowStep("finish", record=record_detached, after=notify_detached),
    ),
    failed=detach_failed,
)
EXPORT = Workflow(
    "export_attachment", AttachmentState,
    (
        ControlStep("find_attachment", find_attachment),
        HostStep("export_volume", _storage, export, binary=VOLUME, take=take_connection, record=record_exported, after=notify_exported,
                 undo=HostUndo(unexport, when_down=WhenDown.WAIT)),
    ),
    failed=export_failed, resource_type="attachment",
)
UNEXPORT = Workflow(
    "unexport_attachment", AttachmentState,
    (
        ControlStep("find_attachment", find_attachment),
        HostStep("unexport_volume", _storage, unexport, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("finish", record=record_unexported),
    ),
    failed=export_failed, resource_type="attachment",
)
END = Workflow(
    "delete_attachment", AttachmentState,
    (
        ControlStep("find_attachment", find_attachment),
        HostStep("unexport_volume", _storage, unexport, binary=VOLUME, when_down=WhenDown.WAIT),
        RowStep("finish", record=record_detached, after=notify_detached),
    ),
    failed=end_failed, resource_type="attachment",
)
