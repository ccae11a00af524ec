# SPDX-License-Identifier: Apache-2.0
"""Attach and detach of one NIC: the host's network is ready before the guest has it, and let go of after."""

from __future__ import annotations

import functools

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import guest, network_sync
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.db.compute import servers
from nova_lite.db.network import interfaces, ports
from nova_lite.payloads import ports as port_payloads
from nova_lite.rpc import compute, network


def prepare_network(run: Run) -> Saved:
    """The host learns of all the server's ports, the new one among them."""
    payload = _server_ports(run)
    run.scratch["ports"] = payload
    run.services.network(_agent(run)).prepare(run.ctxt, ports=payload)
    return {"host": run.scratch["host"], "agent": _agent(run)}


def record_prepared(session: Session, run: Run) -> None:
    network_sync.record_joined(session, run)


def take_port_back(run: Run) -> None:
    """The port is gone from the rows, then from the host."""
    with run.services.database.writer() as session:
        interfaces.take_back(session, run.server_id, _port_id(run))
    run.saved["agent"] = _agent(run)
    run.services.unless_down("nova-network", _agent(run), functools.partial(
        run.services.network(_agent(run)).prepare, run.ctxt, ports=_server_ports(run)))
    network_sync.changed(run)


def compute_attach_interface(run: Run) -> None:
    """The guest gets the NIC. (Nova's word for this event: clients look for it.)"""
    run.services.compute(_agent(run)).attach_interface(
        run.ctxt, server_id=run.server_id, turn=_turn(run), nic=_nic(run))


def record_attached(session: Session, run: Run) -> None:
    interfaces.plug_one(session, run.server_id, _port_id(run))
    servers.finish(session, run.server_id, "attach_interface")


def take_nic_back(run: Run) -> None:
    run.services.unless_down("nova-compute", _agent(run), functools.partial(
        run.services.compute(_agent(run)).detach_interface, run.ctxt, server_id=run.server_id, turn=_turn(run) + 1,
        port_id=_port_id(run)))


def unplug_guest(run: Run) -> Saved:
    """The guest lets go of the NIC; one that runs may take its time."""
    run.services.compute(_agent(run)).detach_interface(
        run.ctxt, server_id=run.server_id, turn=_turn(run), port_id=_port_id(run))
    return {"host": run.scratch["host"], "agent": _agent(run)}


def plug_guest_again(run: Run) -> None:
    run.services.unless_down("nova-compute", _agent(run), functools.partial(
        run.services.compute(_agent(run)).attach_interface, run.ctxt, server_id=run.server_id, turn=_turn(run) + 1,
        nic=_nic(run)))


def withdraw_network(run: Run) -> None:
    """The host forgets the port; its connections are cut."""
    run.services.network(_agent(run)).prepare(run.ctxt, ports=_server_ports(run, without=_port_id(run)))


def prepare_again(run: Run) -> None:
    run.services.unless_down("nova-network", _agent(run), functools.partial(
        run.services.network(_agent(run)).prepare, run.ctxt, ports=_server_ports(run)))


def compute_detach_interface(run: Run) -> None:
    """Nothing has the port any more: it goes in the transaction that ends the action. (The name is Nova's.)"""


def record_detached(session: Session, run: Run) -> None:
    interfaces.take_back(session, run.server_id, _port_id(run))
    servers.finish(session, run.server_id, "detach_interface")


def push_changes(run: Run) -> None:
    network_sync.changed(run)
    network_sync.places(run)


def server_stays_attach(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.server_id, "attach_interface", fault=None, is_fatal=False)


def server_stays_detach(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.server_id, "detach_interface", fault=None, is_fatal=False)


def _port_id(run: Run) -> str:
    return str(run.inputs["port_id"])


def _turn(run: Run) -> int:
    """Orders what is asked of the guest's host about NICs: an undo, one more, comes after what it undoes."""
    return 2 * run.action_id


def _agent(run: Run) -> str:
    """:raises errors.WorkerError: the server has no host any more."""
    if "agent" not in run.scratch:
        with run.services.database.reader() as session:
            server = servers.get(session, run.server_id)
        if server.agent is None:
            raise errors.WorkerError(reason="the server is on no host")
        run.scratch["agent"], run.scratch["host"] = server.agent, server.host
    return str(run.scratch["agent"])


def _server_ports(run: Run, *, without: str | None = None) -> network.ServerPorts:
    with run.services.database.reader() as session:
        server = servers.get(session, run.server_id)
        return guest.server_ports(session, run.services, server, fence=run.fence, without=without)


def _nic(run: Run) -> compute.Nic:
    with run.services.database.reader() as session:
        return port_payloads.nics([ports.get(session, _port_id(run))])[0]


ATTACH = Workflow(
    "attach_interface",
    (
        Step(prepare_network, record=record_prepared, after=network_sync.changed, undo=take_port_back),
        Step(compute_attach_interface, record=record_attached, after=network_sync.places, undo=take_nic_back),
    ),
    failed=server_stays_attach,
)
DETACH = Workflow(
    "detach_interface",
    (
        Step(unplug_guest, undo=plug_guest_again),
        Step(withdraw_network, undo=prepare_again),
        Step(compute_detach_interface, record=record_detached, after=push_changes),
    ),
    failed=server_stays_detach,
)
