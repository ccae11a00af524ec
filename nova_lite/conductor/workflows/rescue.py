# SPDX-License-Identifier: Apache-2.0
"""Rescue: the guest boots from another disk beside its own; unrescue: as it was before."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import ControlStep, HostStep, HostUndo, Run, Workflow
from nova_lite.conductor.steps import find_host
from nova_lite.conductor.steps.find_host import OnHost
from nova_lite.db.compute import servers
from nova_lite.db.image import images
from nova_lite.lifecycle.servers import Power
from nova_lite.payloads import guest


@dataclasses.dataclass(frozen=True)
class RescueState(OnHost):
    """`image_id`: what the guest boots from. `admin_pass`: sealed."""

    image_id: str = ""
    admin_pass: str | None = None


RescueRun = Run[RescueState]
UnrescueRun = Run[OnHost]


def find_server(services: Services, run: RescueRun) -> RescueState:
    host, agent = find_host.find_host(services, run.resource_id)
    return dataclasses.replace(run.state, host=host, agent=agent)


def rescue_guest(services: Services, run: RescueRun) -> None:
    """The host restarts the guest from the rescue image."""
    image_id = run.state.image_id
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
        image = images.by_ids(session, [image_id]).get(image_id)
        documents = guest.drive_documents(session, services.environment, server, admin_pass=run.state.admin_pass)
    if image is None or image.status != images.ACTIVE:
        raise errors.ImageFailed(host=server.host, id=image_id, reason="it was deleted in the meantime")
    described = guest.image_payload(
        services.environment, image, host=str(server.host), project_id=server.project_id, properties=dict(image.properties))
    services.compute(run.state.agent).rescue(
        run.ctxt, server_id=run.resource_id, order=run.order, image=described, documents=documents)


def record_rescued(session: Session, run: RescueRun) -> None:
    servers.finish(session, run.resource_id, "rescue", power_state=int(Power.RUNNING))


def end_rescue(services: Services, run: RescueRun) -> None:
    """The guest has its own disks only, and its power as before."""
    services.compute(run.state.agent).undo_rescue(run.ctxt, server_id=run.resource_id, order=run.order)


def find_rescued(services: Services, run: UnrescueRun) -> OnHost:
    return OnHost(*find_host.find_host(services, run.resource_id))


def unrescue_guest(services: Services, run: UnrescueRun) -> None:
    """The host restarts the guest from its own disk."""
    services.compute(run.state.agent).unrescue(run.ctxt, server_id=run.resource_id, order=run.order, is_on=True)


def record_unrescued(session: Session, run: UnrescueRun) -> None:
    servers.finish(session, run.resource_id, "unrescue", power_state=int(Power.RUNNING))


def stay(session: Session, run: RescueRun, error: errors.NovaLiteError) -> None:
    """The server is as it was; the action says why."""
    servers.abandon(session, run.resource_id, "rescue", fault=None, is_fatal=False)


def stay_rescued(session: Session, run: UnrescueRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "unrescue", fault=None, is_fatal=False)


RESCUE = Workflow(
    "rescue", RescueState,
    (
        ControlStep("find_server", find_server),
        HostStep("compute_rescue_instance", find_host.agent, rescue_guest, record=record_rescued, undo=HostUndo(end_rescue)),
    ),
    failed=stay,
)
UNRESCUE = Workflow(
    "unrescue", OnHost,
    (
        ControlStep("find_server", find_rescued),
        HostStep("compute_unrescue_instance", find_host.agent, unrescue_guest, record=record_unrescued),
    ),
    failed=stay_rescued,
)
