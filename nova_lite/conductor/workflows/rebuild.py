# SPDX-License-Identifier: Apache-2.0
"""Rebuild: the guest starts over from an image, on its host, with its ports and its place among the claims."""

from __future__ import annotations

import functools

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import guest, network_sync
from nova_lite.conductor.engine.workflow import Run, Step, Workflow
from nova_lite.conductor.steps import call_host, faults
from nova_lite.conductor.steps.find_host import find_server
from nova_lite.db.compute import servers
from nova_lite.lifecycle.servers import TASKS_OF, Power, Vm

_REBUILDING, _DISKS, _SPAWNING = TASKS_OF["rebuild"]


def record_found(session: Session, run: Run) -> None:
    servers.show_task(session, run.server_id, among=(_REBUILDING,), task=_DISKS)


def refresh_network(run: Run) -> None:
    """What the guest may read about itself is new before it starts."""
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        ports = guest.server_ports(session, run.services, server, fence=run.fence)
    run.services.network(run.saved["agent"]).prepare(run.ctxt, ports=ports)


def record_refreshed(session: Session, run: Run) -> None:
    servers.show_task(session, run.server_id, among=(_DISKS,), task=_SPAWNING)


def compute_rebuild_instance(run: Run) -> None:
    """The host replaces the guest. (Nova's word for this event: clients look for it.)"""
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        ports = guest.server_ports(session, run.services, server, fence=run.fence)
        wanted = guest.describe(session, run.services, server, fence=run.fence, ports=ports, inputs=run.inputs)
    worker = run.services.compute(run.saved["agent"])
    call_host.compute(run, run.saved["agent"], functools.partial(
        worker.rebuild, run.ctxt, guest=wanted, keeps_ephemeral=bool(run.inputs["preserve_ephemeral"]),
        is_on=bool(run.inputs["is_on"])))


def record_rebuilt(session: Session, run: Run) -> None:
    is_on = run.inputs["is_on"]
    servers.finish(session, run.server_id, "rebuild", vm_state=Vm.ACTIVE if is_on else Vm.STOPPED,
                   power_state=int(Power.RUNNING if is_on else Power.SHUTDOWN))


def tell_user(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """Its old disk may be gone, so that the server is in ERROR; it can be rebuilt again."""
    fault = faults.fault(error.text, details=f"{run.saved.get('host')}: {error.text}", now=run.services.now())
    servers.abandon(session, run.server_id, "rebuild", fault=fault, is_fatal=True)


REBUILD = Workflow(
    "rebuild",
    (
        Step(find_server, record=record_found),
        Step(refresh_network, record=record_refreshed),
        Step(compute_rebuild_instance, record=record_rebuilt, after=network_sync.places),
    ),
    failed=tell_user,
)
