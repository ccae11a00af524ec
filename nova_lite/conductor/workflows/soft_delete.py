# SPDX-License-Identifier: Apache-2.0
"""Soft delete: the guest is off and kept for a while; restore: it is back."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import ControlStep, HostStep, Run, WhenDown, Workflow
from nova_lite.conductor.workflows import resize
from nova_lite.db.compute import server_images, server_migrations, servers, shelving
from nova_lite.lifecycle.servers import ACTIONS, FIND_SERVER, Power, Vm


@dataclasses.dataclass(frozen=True)
class KeptState:
    """`agent` None: the server is shelved and on no host; then there is nothing to be done but to write it down."""

    host: str | None = None
    agent: str | None = None


KeptRun = Run[KeptState]


def find_server(services: Services, run: KeptRun) -> KeptState:
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
    return KeptState(host=server.host, agent=server.agent)


def soft_delete(services: Services, run: KeptRun) -> None:
    services.compute(str(run.state.agent)).soft_delete(run.ctxt, server_id=run.resource_id, order=run.order)


def record_soft_deleted(session: Session, run: KeptRun) -> None:
    """A resize that waited is confirmed, and the snapshot of a server shelved on its host goes: a restore starts the guest."""
    server = servers.get(session, run.resource_id)
    if server.vm_state == Vm.RESIZED and server_migrations.latest(session, server.id).status == server_migrations.FINISHED:
        resize.keep_new_size(session, Run(
            ctxt=run.ctxt, resource_id=server.id, action_id=run.action_id, order=run.order,
            state=resize.latest(session, server.id)))
    if server.shelved_image_id is not None and server.agent is not None:
        server_images.discard(session, [server.shelved_image_id])
        shelving.record(session, server.id, image_id=None, now=None)
    servers.finish(session, server.id, "soft_delete", power_state=_power(run))


def restore(services: Services, run: KeptRun) -> None:
    services.compute(str(run.state.agent)).restore(run.ctxt, server_id=run.resource_id, order=run.order)


def record_restored(session: Session, run: KeptRun) -> None:
    """One that is on no host has a snapshot only."""
    leads_to = Vm.SHELVED_OFFLOADED if servers.get(session, run.resource_id).agent is None else None
    servers.finish(session, run.resource_id, "restore", power_state=_power(run), vm_state=leads_to)


def _power(run: KeptRun) -> int:
    return int(Power.SHUTDOWN) if run.power_state is None else run.power_state


def stay(session: Session, run: KeptRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "soft_delete", fault=None, is_fatal=False)


def stay_deleted(session: Session, run: KeptRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "restore", fault=None, is_fatal=False)


SOFT_DELETE = Workflow(
    "soft_delete", KeptState,
    (
        ControlStep(FIND_SERVER, find_server),
        HostStep(ACTIONS["soft_delete"].host_step, lambda run: run.state.agent, soft_delete, record=record_soft_deleted, when_down=WhenDown.WAIT),
    ),
    failed=stay,
)
RESTORE = Workflow(
    "restore", KeptState,
    (
        ControlStep(FIND_SERVER, find_server),
        HostStep(ACTIONS["restore"].host_step, lambda run: run.state.agent, restore, record=record_restored, when_down=WhenDown.WAIT),
    ),
    failed=stay_deleted,
)
