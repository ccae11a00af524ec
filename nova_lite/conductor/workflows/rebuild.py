# SPDX-License-Identifier: Apache-2.0
"""Rebuild: the guest starts over from an image, on its host, with its ports and its place among the claims."""

from __future__ import annotations

import functools

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import guest
from nova_lite.conductor.workflow import Run, Step, Workflow
from nova_lite.conductor.workflows import faults, patience, refresh
from nova_lite.conductor.workflows.whereabouts import find_server
from nova_lite.db import servers
from nova_lite.lifecycle.table import TASKS_OF, Power, Vm

_REBUILDING, _DISKS, _SPAWNING = TASKS_OF["rebuild"]


def record_found(session: Session, run: Run) -> None:
    servers.show_task(session, run.server_id, among=(_REBUILDING,), task=_DISKS)


def refresh_network(run: Run) -> None:
    """What the guest may read about itself is new before it starts."""
    with run.world.database.reader() as session:
        server = servers.get(session, run.server_id)
        ports = guest.server_ports(session, run.world, server, fence=run.fence)
    run.world.network(run.saved["agent"]).prepare(run.ctxt, ports=ports)


def record_refreshed(session: Session, run: Run) -> None:
    servers.show_task(session, run.server_id, among=(_DISKS,), task=_SPAWNING)


def compute_rebuild_instance(run: Run) -> None:
    """The host replaces the guest. (Nova's word for this event: clients look for it.)"""
    with run.world.database.reader() as session:
        server = servers.get(session, run.server_id)
        ports = guest.server_ports(session, run.world, server, fence=run.fence)
        wanted = guest.describe(session, run.world, server, fence=run.fence, ports=ports, inputs=run.inputs)
    worker = run.world.compute(run.saved["agent"])
    patience.compute(run, run.saved["agent"], functools.partial(
        worker.rebuild, run.ctxt, guest=wanted, keeps_ephemeral=bool(run.inputs["preserve_ephemeral"]),
        is_on=bool(run.inputs["is_on"])))


def record_rebuilt(session: Session, run: Run) -> None:
    is_on = run.inputs["is_on"]
    servers.finish(session, run.server_id, "rebuild", vm_state=Vm.ACTIVE if is_on else Vm.STOPPED,
                   power_state=int(Power.RUNNING if is_on else Power.SHUTDOWN))


def tell_user(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """Its old disk may be gone, so that the server is in ERROR; it can be rebuilt again."""
    fault = faults.fault(error.text, details=f"{run.saved.get('host')}: {error.text}", now=run.world.now())
    servers.abandon(session, run.server_id, "rebuild", fault=fault, is_fatal=True)


REBUILD = Workflow(
    "rebuild",
    (
        Step(find_server, record=record_found),
        Step(refresh_network, record=record_refreshed),
        Step(compute_rebuild_instance, record=record_rebuilt, after=refresh.places),
    ),
    failed=tell_user,
)
