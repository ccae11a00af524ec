# SPDX-License-Identifier: Apache-2.0
"""Volumes of a server that comes to a host, leaves it, or is deleted: each attachment has an action of its own, which workflows wait for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import VOLUME, NotNow, Run
from nova_lite.context import Context
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import ATTACHMENT, FAILED, OPEN, Action
from nova_lite.db.hosts import hosts
from nova_lite.db.volume import attachments, pools
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import AttachmentStatus, VolumeStatus
from nova_lite.values.guest_disk import initiator_name

_MAKING = (VolumeStatus.CREATING, VolumeStatus.DOWNLOADING)
_EXPORT, _UNEXPORT, _END = "export_attachment", "unexport_attachment", "delete_attachment"


def required_agent(session: Session, server_id: str) -> str | None:
    """The worker of the only host from which the server's volumes are reached; None: every host will do.

    :raises NotNow: one of them is still being made. :raises errors.WorkerError: one could not be, or no host reaches them all.
    """
    agents = set()
    for _, volume in _pairs(session, server_id):
        if volume.status in _MAKING:
            raise NotNow(f"volume {volume.id} is still being made")
        if volume.status == VolumeStatus.ERROR:
            raise errors.WorkerError(reason=f"volume {volume.id} could not be made")
        if volume.host is not None and not pools.reaches_all(session, volume.host):
            agents.add(volume.agent)
    if len(agents) > 1:
        raise errors.WorkerError(reason="the server's volumes are in storage pools of several hosts, each of which only its own guests reach")
    return agents.pop() if agents else None


def connect(services: Services, run: Run[Any], *, host: str, agent: str) -> None:
    """Have all volumes of the server exported to the host.

    :raises NotNow: they are about to be. :raises errors.WorkerError: one could not be.
    """
    begun: list[int] = []
    with services.database.writer() as session:
        connector = {"host": agent, "ip": hosts.ip_of(session, host), "initiator": initiator_name(agent)}
        waits = False
        for attachment, _ in _pairs(session, run.resource_id):
            if attachment.connection_info is not None and attachment.host == agent:
                continue
            waits = True
            last = _last_action(session, attachment.id, (_EXPORT, _UNEXPORT))
            if last is not None and last.name == _EXPORT and last.state in OPEN:
                continue
            if last is not None and last.name == _EXPORT and last.state == FAILED and attachment.host == agent:
                raise errors.WorkerError(reason=f"volume {attachment.volume_id} could not be exported: {last.message}")
            attachment.host, attachment.connector, attachment.connection_info = agent, connector, None
            begun.append(_begin(session, run.ctxt, _EXPORT, attachment.id))
    if waits:
        raise NotNow("the server's volumes are about to be exported", lambda: cast(services, run, begun))


def disconnect(services: Services, run: Run[Any]) -> None:
    """Undo `connect`: nothing is exported; the volumes stay reserved for the server."""
    with services.database.writer() as session:
        begun = begin_disconnect(session, run)
    cast(services, run, begun)


def begin_disconnect(session: Session, run: Run[Any]) -> list[int]:
    """The server leaves its host: its volumes stay reserved, and are exported no more; the actions that see to it."""
    begun = []
    for attachment, _ in _pairs(session, run.resource_id):
        last = _last_action(session, attachment.id, (_EXPORT, _UNEXPORT))
        if (attachment.connector or (last is not None and last.name == _EXPORT)) and (last is None or last.name != _UNEXPORT or last.state not in OPEN):
            begun.append(_begin(session, run.ctxt, _UNEXPORT, attachment.id))
    return begun


def record_attached(session: Session, server_id: str) -> None:
    """The server's guest has its volumes."""
    for attachment, volume in _pairs(session, server_id):
        attachments.set_status(session, attachment.id, AttachmentStatus.ATTACHED, attached_at=utcnow(),
                               among=(AttachmentStatus.RESERVED, AttachmentStatus.ATTACHING))
        attachments.settle(session, volume.id)


def end(services: Services, run: Run[Any]) -> None:
    """The server is being deleted: its attachments end, and with them the volumes that are deleted with it.

    :raises NotNow: they are about to. Those of a storage worker that is down end when it is back, and nobody waits for them.
    """
    begun, waits = [], False
    with services.database.writer() as session:
        for attachment in attachments.of_server(session, run.resource_id):
            if attachment.volume_id is None:
                attachments.delete(session, attachment.id)
                continue
            last = _last_action(session, attachment.id, (_END,))
            if last is None or last.state not in OPEN:
                begun.append(begin_end(session, run.ctxt, attachment))
            volume = session.get(Volume, attachment.volume_id)
            waits = waits or (volume is not None and volume.agent is not None and not services.is_down(VOLUME, volume.agent))
    if waits:
        raise NotNow("the server's volumes are about to be detached", lambda: cast(services, run, begun))
    cast(services, run, begun)


def begin_end(session: Session, ctxt: Context, attachment: Attachment) -> int:
    """Begin to end the attachment of a server that is deleted; the action's id."""
    attachments.set_status(session, attachment.id, AttachmentStatus.DETACHING, among=tuple(AttachmentStatus))
    attachments.settle(session, str(attachment.volume_id))
    return _begin(session, ctxt, _END, attachment.id, deletes_volume=attachment.delete_on_termination)


def _pairs(session: Session, server_id: str) -> list[tuple[Attachment, Volume]]:
    """The server's attachments with their volumes."""
    found = attachments.of_server(session, server_id)
    by_id = {volume.id: volume for volume in session.scalars(
        sa.select(Volume).where(Volume.id.in_([one.volume_id for one in found])))} if found else {}
    return [(one, by_id[one.volume_id]) for one in found if one.volume_id in by_id]


def _last_action(session: Session, attachment_id: str, names: Collection[str]) -> Action | None:
    return session.scalars(sa.select(Action).where(
        Action.resource_id == attachment_id, Action.name.in_(names)).order_by(Action.id.desc()).limit(1)).one_or_none()


def _begin(session: Session, ctxt: Context, name: str, attachment_id: str, **inputs: Any) -> int:
    requester = actions.Requester(ctxt.request_id, ctxt.user_id, ctxt.project_id)
    return actions.begin(session, (ATTACHMENT, attachment_id), name, requester, inputs={"attachment_id": attachment_id, **inputs}).id


def cast(services: Services, run: Run[Any], begun: Sequence[int]) -> None:
    """Have conductors take up the actions."""
    for action_id in begun:
        services.conductor.run(run.ctxt, action_id=action_id)
