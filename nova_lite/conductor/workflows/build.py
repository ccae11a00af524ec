# SPDX-License-Identifier: Apache-2.0
"""Build: from a row that says what is wanted to a guest that runs."""

from __future__ import annotations

import functools
from typing import Any

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import guest, network_sync
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.conductor.steps import faults
from nova_lite.db.compute import servers
from nova_lite.db.hosts import claims
from nova_lite.db.network import interfaces, ports
from nova_lite.lifecycle.servers import Power
from nova_lite.payloads import placement
from nova_lite.rpc.network import ServerPorts
from nova_lite.values.instance_metadata import names_devices

LOG = logging.getLogger(__name__)


def pick_host(run: Run) -> Saved:
    """Ask a scheduler for a host; it claims the room."""
    with run.services.database.reader() as session:
        wanted = placement.request(
            session, servers.row(session, run.server_id), excluded=[tried["host"] for tried in run.saved.get("tried", [])])
    found = run.services.scheduler.pick_host(run.ctxt, request=wanted)
    return {"host": found.host, "agent": found.agent, "zone": found.availability_zone}


def record_host(session: Session, run: Run) -> None:
    servers.place(session, run.server_id, host=run.saved["host"], agent=run.saved["agent"], availability_zone=run.saved["zone"],
                  task=("scheduling", "networking"))
    ports.plug(session, run.server_id, host=run.saved["host"], is_up=False)


def release_claim(run: Run) -> None:
    with run.services.database.writer() as session:
        claims.release(session, server_id=run.server_id)
        interfaces.leave_host(session, run.server_id)


def prepare_network(run: Run) -> None:
    """Bridge, DHCP entry, filter and metadata are on the host before the guest is."""
    run.services.network(run.saved["agent"]).prepare(run.ctxt, ports=_ports(run))


def _ports(run: Run) -> ServerPorts:
    if "ports" not in run.scratch:
        with run.services.database.reader() as session:
            run.scratch["server"] = server = servers.row(session, run.server_id)
            run.scratch["ports"] = guest.server_ports(session, run.services, server, fence=run.fence)
    ports: ServerPorts = run.scratch["ports"]
    return ports


def record_network(session: Session, run: Run) -> None:
    """Other hosts of the networks are to reach this one."""
    network_sync.record_joined(session, run)
    servers.show_task(session, run.server_id, among=("networking",), task="spawning")


def release_network(run: Run) -> None:
    release = functools.partial(
        run.services.network(run.saved["agent"]).release, run.ctxt, server_id=run.server_id, fence=run.fence)
    run.services.unless_down("nova-network", run.saved["agent"], release)


def start_guest(run: Run) -> None:
    """Image, disks, config drive and domain, all by the host's compute worker."""
    ports_here = _ports(run)
    with run.services.database.reader() as session:
        payload = guest.describe(session, run.services, run.scratch["server"], fence=run.fence, ports=ports_here,
                                 inputs=run.inputs)
    run.services.compute(run.saved["agent"]).build(run.ctxt, guest=payload)


def record_guest(session: Session, run: Run) -> None:
    ports.plug(session, run.server_id, host=run.saved["host"], is_up=True)
    servers.finish(session, run.server_id, "create", power_state=int(Power.RUNNING))


def tell_places(run: Run) -> None:
    """Where tagged devices are is known now that the guest is defined."""
    if names_devices(_ports(run).documents):
        run.services.conductor.refresh_documents(run.ctxt, server_id=run.server_id)


def destroy_guest(run: Run) -> None:
    destroy = functools.partial(
        run.services.compute(run.saved["agent"]).destroy, run.ctxt, server_id=run.server_id, fence=run.fence)
    run.services.unless_down("nova-compute", run.saved["agent"], destroy)


def try_another_host(run: Run, error: errors.NovaLiteError) -> bool:
    """A host that failed is not asked again; a placement that failed is final."""
    host = run.saved.pop("host", None)
    run.scratch.clear()
    if host is None:
        return False
    run.saved.setdefault("tried", []).append({"host": host, "reason": error.text})
    LOG.warning("server %s: host %s could not run it: %s", run.server_id, host, error.text)
    return bool(run.attempt < run.services.conf.conductor.build_attempts)


def tell_user(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """The fault says what happened on each host tried."""
    servers.place(session, run.server_id, host=None, agent=None, availability_zone=None)
    servers.abandon(session, run.server_id, "create", fault=_fault(run, error), is_fatal=True)


def _fault(run: Run, error: errors.NovaLiteError) -> dict[str, Any]:
    tried = run.saved.get("tried", [])
    reasons = [entry["reason"] for entry in tried if entry["reason"] != error.text]
    text = error.text if not reasons else f"{error.text} Tried before: {'; '.join(reasons)}"
    return faults.fault(text, details="; ".join(f"{entry['host']}: {entry['reason']}" for entry in tried),
                        now=run.services.now())


BUILD = Workflow(
    "build",
    (
        Step(pick_host, record=record_host, undo=release_claim),
        Step(prepare_network, record=record_network, after=network_sync.changed, undo=release_network),
        Step(start_guest, record=record_guest, after=tell_places, undo=destroy_guest),
    ),
    again=try_another_host,
    failed=tell_user,
)
