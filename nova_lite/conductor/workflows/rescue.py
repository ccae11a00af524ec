# SPDX-License-Identifier: Apache-2.0
"""Rescue: the guest boots from another disk beside its own; unrescue: as it was before."""

from __future__ import annotations

import functools

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import guest
from nova_lite.conductor.engine.workflow import Run, Step, Workflow
from nova_lite.conductor.steps import call_host
from nova_lite.conductor.steps.find_host import find_server
from nova_lite.db.compute import servers
from nova_lite.db.image import images
from nova_lite.lifecycle.servers import Power


def compute_rescue_instance(run: Run) -> None:
    """The host restarts the guest from the rescue image. (Nova's word for this event: clients look for it.)"""
    image_id = str(run.inputs["image_id"])
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        image = images.by_ids(session, [image_id]).get(image_id)
        told = guest.drive_documents(session, run.services, server, fence=run.fence, inputs=run.inputs)
    if image is None or image.status != images.ACTIVE:
        raise errors.ImageFailed(host=server.host, id=image_id, reason="it was deleted in the meantime")
    wanted = guest.image_payload(run.services, image, project_id=server.project_id, properties=dict(image.properties))
    worker = run.services.compute(run.saved["agent"])
    call_host.compute(run, run.saved["agent"], functools.partial(
        worker.rescue, run.ctxt, server_id=run.server_id, fence=run.fence, image=wanted, documents=told))


def record_rescued(session: Session, run: Run) -> None:
    servers.finish(session, run.server_id, "rescue", power_state=int(Power.RUNNING))


def end_rescue(run: Run) -> None:
    """The guest has its own disks only, and its power as before."""
    if "agent" not in run.saved:
        return
    run.services.unless_down("nova-compute", run.saved["agent"], functools.partial(
        run.services.compute(run.saved["agent"]).undo_rescue, run.ctxt, server_id=run.server_id, fence=run.fence))


def compute_unrescue_instance(run: Run) -> None:
    """The host restarts the guest from its own disk. (Nova's word for this event.)"""
    worker = run.services.compute(run.saved["agent"])
    call_host.compute(run, run.saved["agent"], functools.partial(
        worker.unrescue, run.ctxt, server_id=run.server_id, fence=run.fence, is_on=True))


def record_unrescued(session: Session, run: Run) -> None:
    servers.finish(session, run.server_id, "unrescue", power_state=int(Power.RUNNING))


def server_stays(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """It is as it was; the action says why."""
    servers.abandon(session, run.server_id, "rescue", fault=None, is_fatal=False)


def server_stays_rescued(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.server_id, "unrescue", fault=None, is_fatal=False)


RESCUE = Workflow(
    "rescue",
    (Step(find_server), Step(compute_rescue_instance, record=record_rescued, undo=end_rescue)),
    failed=server_stays,
)
UNRESCUE = Workflow(
    "unrescue",
    (Step(find_server), Step(compute_unrescue_instance, record=record_unrescued)),
    failed=server_stays_rescued,
)
