# SPDX-License-Identifier: Apache-2.0
"""Unshelve: a guest is built again from its snapshot, or just started where it still is."""

from __future__ import annotations

import dataclasses
import functools

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import guest, network_sync
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.conductor.workflows import build
from nova_lite.db.compute import server_images, servers, shelving
from nova_lite.db.image import images
from nova_lite.db.network import ports
from nova_lite.lifecycle.servers import Power
from nova_lite.payloads import placement
from nova_lite.rpc.compute import Image


def pick_host(run: Run) -> Saved:
    """Where it still is, else a host that a scheduler picks and claims."""
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        if server.agent is not None and not run.saved.get("left"):
            return {"host": server.host, "agent": server.agent, "zone": server.availability_zone, "is_here": True}
        wanted = placement.request(session, server, excluded=[tried["host"] for tried in run.saved.get("tried", [])])
    if run.inputs.get("host"):
        wanted = dataclasses.replace(wanted, forced_host=run.inputs["host"])
    found = run.services.scheduler.pick_host(run.ctxt, request=wanted)
    return {"host": found.host, "agent": found.agent, "zone": found.availability_zone, "is_here": False, "left": True}


def record_host(session: Session, run: Run) -> None:
    if not run.saved["is_here"]:
        servers.place(session, run.server_id, host=run.saved["host"], agent=run.saved["agent"], availability_zone=run.saved["zone"])
        ports.plug(session, run.server_id, host=run.saved["host"], is_up=False)


def release_claim(run: Run) -> None:
    if run.saved.get("is_here"):
        return
    build.release_claim(run)
    with run.services.database.writer() as session:
        servers.place(session, run.server_id, host=None, agent=None, availability_zone=None)


def prepare_network(run: Run) -> None:
    """The same ports, on this host."""
    if not run.saved["is_here"]:
        build.prepare_network(run)


def record_network(session: Session, run: Run) -> None:
    if not run.saved["is_here"]:
        network_sync.record_joined(session, run)
    servers.show_task(session, run.server_id, among=("unshelving",), task="spawning")


def release_network(run: Run) -> None:
    if not run.saved["is_here"]:
        build.release_network(run)


def start_guest(run: Run) -> None:
    """Disks from the snapshot, and the domain; or only power."""
    worker = run.services.compute(run.saved["agent"])
    if run.saved["is_here"]:
        worker.unshelve(run.ctxt, server_id=run.server_id, action_id=run.action_id)
        return
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        known = guest.server_ports(session, run.services, server, fence=run.fence)
        payload = guest.describe(session, run.services, server, fence=run.fence, ports=known, image=_snapshot(session, run))
    worker.build(run.ctxt, guest=payload)


def _snapshot(session: Session, run: Run) -> Image:
    """:raises errors.ImageFailed: it was deleted, and with it all that the server was."""
    server = servers.get(session, run.server_id)
    image_id = str(server.shelved_image_id)
    found = images.by_ids(session, [image_id]).get(image_id)
    if found is None or found.status != "active":
        raise errors.ImageFailed(host=run.saved["host"], id=image_id, reason="the snapshot of the shelved server was deleted")
    return guest.image_payload(
        run.services, found, project_id=server.project_id, properties=dict(server.image_properties))


def take_guest_back(run: Run) -> None:
    if not run.saved["is_here"]:
        build.destroy_guest(run)
        return
    run.services.unless_down("nova-compute", run.saved["agent"], functools.partial(
        run.services.compute(run.saved["agent"]).shelve, run.ctxt, server_id=run.server_id, action_id=run.action_id))


def record_guest(session: Session, run: Run) -> None:
    """The server is itself again; its snapshot goes in the same transaction."""
    image_id = shelving.image_of(session, run.server_id)
    if servers.finish(session, run.server_id, "unshelve", power_state=int(Power.RUNNING)):
        server_images.discard(session, [image_id] if image_id else [])
        shelving.record(session, run.server_id, image_id=None, now=None)
    ports.plug(session, run.server_id, host=run.saved["host"], is_up=True)


def try_another_host(run: Run, error: errors.NovaLiteError) -> bool:
    """Where it still is, or was forced to, there is no other; a snapshot that is gone is gone everywhere."""
    if run.saved.pop("is_here", False) or run.inputs.get("host"):
        return False
    return build.try_another_host(run, error)


def tell_user(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """The server stays shelved; the action says why."""
    servers.abandon(session, run.server_id, "unshelve", fault=None, is_fatal=False)


UNSHELVE = Workflow(
    "unshelve",
    (
        Step(pick_host, record=record_host, undo=release_claim),
        Step(prepare_network, record=record_network, after=network_sync.changed, undo=release_network),
        Step(start_guest, record=record_guest, after=network_sync.places, undo=take_guest_back),
    ),
    again=try_another_host,
    failed=tell_user,
)
