# SPDX-License-Identifier: Apache-2.0
"""Shelve: a guest becomes a snapshot; offload: it leaves its host, which gets its room back."""

from __future__ import annotations

import functools

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.conductor.workflows import snapshot
from nova_lite.db.compute import server_images, servers, shelving
from nova_lite.db.hosts import claims
from nova_lite.db.network import interfaces
from nova_lite.lifecycle.servers import TASKS_OF, Power, Vm


def find_server(run: Run) -> Saved:
    """Where it is, and whether it is to leave at once."""
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        return {"host": server.host, "agent": server.agent, "image_id": run.inputs["image_id"],
                "offloads": run.services.conf.compute.shelved_offload_time == 0}


def forget_image(run: Run) -> None:
    """The image that the request made: there will be no snapshot."""
    with run.services.database.writer() as session:
        server_images.discard(session, [run.inputs["image_id"]])
        shelving.record(session, run.server_id, image_id=None, now=None)


def power_off(run: Run) -> None:
    """The guest is asked to power off; its disk is at rest."""
    run.services.compute(run.saved["agent"]).shelve(run.ctxt, server_id=run.server_id, action_id=run.action_id)


def power_on(run: Run) -> None:
    """A guest that ran runs again; one that was paused too, and shows so."""
    if run.inputs["was"] in (Vm.ACTIVE, Vm.PAUSED):
        run.services.unless_down("nova-compute", run.saved["agent"], functools.partial(
            run.services.compute(run.saved["agent"]).unshelve, run.ctxt, server_id=run.server_id, action_id=run.action_id))


def set_aside(run: Run) -> None:
    """The snapshot is whole: from here on it is the server."""


def record_shelved(session: Session, run: Run) -> None:
    shelving.record(session, run.server_id, image_id=run.saved["image_id"], now=run.services.now())
    if run.saved["offloads"]:
        servers.show_task(session, run.server_id, among=TASKS_OF["shelve"], task=TASKS_OF["shelve"][-1])
    else:
        servers.finish(session, run.server_id, "shelve", power_state=int(Power.SHUTDOWN))


def destroy_guest(run: Run) -> None:
    """The guest and its disks leave the host."""
    if run.saved["offloads"]:
        run.services.unless_down("nova-compute", run.saved["agent"], functools.partial(
            run.services.compute(run.saved["agent"]).destroy, run.ctxt, server_id=run.server_id, fence=run.fence))


def release_network(run: Run) -> None:
    """The host forgets its ports; addresses stay the server's."""
    if run.saved["offloads"]:
        run.services.unless_down("nova-network", run.saved["agent"], functools.partial(
            run.services.network(run.saved["agent"]).release, run.ctxt, server_id=run.server_id, fence=run.fence))


def leave_host(run: Run) -> None:
    """Nothing is left there: the rows say so in the transaction that ends the action."""


def record_offloaded(session: Session, run: Run) -> None:
    if run.saved["offloads"]:
        _offload(session, run, "shelve")


def find_shelved(run: Run) -> Saved:
    """Where it is."""
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        return {"host": server.host, "agent": server.agent, "offloads": True}


def record_left(session: Session, run: Run) -> None:
    _offload(session, run, "shelve_offload")


def _offload(session: Session, run: Run, action: str) -> None:
    claims.release(session, server_id=run.server_id)
    interfaces.leave_host(session, run.server_id)
    servers.place(session, run.server_id, host=None, agent=None, availability_zone=None)
    servers.finish(session, run.server_id, action, power_state=int(Power.SHUTDOWN), vm_state=Vm.SHELVED_OFFLOADED)


def tell_user(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """The server is as it was; the action says why."""
    was_paused = run.inputs.get("was") == Vm.PAUSED
    if was_paused:  # its CPUs go on: what was frozen is lost with the power
        servers.finish(session, run.server_id, "shelve", power_state=int(Power.RUNNING), vm_state=Vm.ACTIVE)
    else:
        servers.abandon(session, run.server_id, "shelve", fault=None, is_fatal=False)


def nothing_to_tell(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.server_id, "shelve_offload", fault=None, is_fatal=False)


SHELVE = Workflow(
    "shelve",
    (
        Step(find_server, undo=forget_image),
        Step(power_off, undo=power_on),
        *snapshot.steps(snapshot.Tasks(TASKS_OF["shelve"][:1], *TASKS_OF["shelve"][1:3])),
        Step(set_aside, record=record_shelved, pivot=True),
        Step(destroy_guest),
        Step(release_network),
        Step(leave_host, record=record_offloaded, after=network_sync.changed),
    ),
    failed=tell_user,
)
OFFLOAD = Workflow(
    "shelve_offload",
    (
        Step(find_shelved),
        Step(destroy_guest, pivot=True),
        Step(release_network),
        Step(leave_host, record=record_left, after=network_sync.changed),
    ),
    failed=nothing_to_tell,
)
