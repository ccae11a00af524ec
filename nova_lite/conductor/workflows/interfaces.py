# SPDX-License-Identifier: Apache-2.0
"""Attach and detach of one NIC: the host's network is ready before the guest has it, and removed after."""

from __future__ import annotations

import dataclasses

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import NETWORK, ControlStep, HostStep, HostUndo, RowStep, Run, Workflow
from nova_lite.conductor.steps import find_host
from nova_lite.conductor.steps.find_host import OnHost
from nova_lite.db.compute import servers
from nova_lite.db.network import interfaces, ports
from nova_lite.payloads import guest
from nova_lite.payloads import ports as port_payloads
from nova_lite.rpc import compute, network


@dataclasses.dataclass(frozen=True)
class NicState(OnHost):
    """`port_id`: of the NIC."""

    port_id: str = ""


NicRun = Run[NicState]


def find_server(services: Services, run: NicRun) -> NicState:
    if run.state.agent:
        return run.state
    host, agent = find_host.find_host(services, run.resource_id)
    return dataclasses.replace(run.state, host=host, agent=agent)


def prepare_network(services: Services, run: NicRun) -> None:
    """The host learns of all the server's ports, the one of the NIC among them."""
    services.network(run.state.agent).prepare_server(run.ctxt, ports=_server_ports(services, run))


def record_prepared(session: Session, run: NicRun) -> None:
    network_sync.record_joined(session, run)


def take_port_back(services: Services, run: NicRun) -> None:
    """The server has the port no more; a host that was down removes it when it is back."""
    with services.database.writer() as session:
        interfaces.take_back(session, run.resource_id, run.state.port_id)
    network_sync.changed(services, run)


def attach_nic(services: Services, run: NicRun) -> None:
    """The guest gets the NIC."""
    services.compute(run.state.agent).attach_interface(
        run.ctxt, server_id=run.resource_id, order=run.order, nic=_nic(services, run))


def record_attached(session: Session, run: NicRun) -> None:
    interfaces.plug_one(session, run.resource_id, run.state.port_id)
    servers.finish(session, run.resource_id, "attach_interface")


def take_nic_back(services: Services, run: NicRun) -> None:
    services.compute(run.state.agent).detach_interface(
        run.ctxt, server_id=run.resource_id, order=run.order, port_id=run.state.port_id)


def plug_guest_again(services: Services, run: NicRun) -> None:
    services.compute(run.state.agent).attach_interface(
        run.ctxt, server_id=run.resource_id, order=run.order, nic=_nic(services, run))


def withdraw_network(services: Services, run: NicRun) -> None:
    """The host forgets the port; its connections are cut."""
    services.network(run.state.agent).prepare_server(
        run.ctxt, ports=_server_ports(services, run, without=run.state.port_id))


def record_detached(session: Session, run: NicRun) -> None:
    """Nothing has the port any more: it goes in the transaction that ends the action."""
    interfaces.take_back(session, run.resource_id, run.state.port_id)
    servers.finish(session, run.resource_id, "detach_interface")


def report_detached(services: Services, run: NicRun) -> None:
    """The next attach may begin; hosts forget the port."""
    services.api.action_ended(run.ctxt, action_id=run.action_id)
    network_sync.changed(services, run)
    network_sync.places(services, run)


def report_attached(services: Services, run: NicRun) -> None:
    """The request that waits for the attach is answered; device addresses reach the guest's metadata."""
    services.api.action_ended(run.ctxt, action_id=run.action_id)
    network_sync.places(services, run)


def stay_without(session: Session, run: NicRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "attach_interface", fault=None, is_fatal=False)


def stay_with(session: Session, run: NicRun, error: errors.NovaLiteError) -> None:
    servers.abandon(session, run.resource_id, "detach_interface", fault=None, is_fatal=False)


def _server_ports(services: Services, run: NicRun, *, without: str | None = None) -> network.ServerPorts:
    with services.database.reader() as session:
        server = servers.get(session, run.resource_id)
        return guest.server_ports(session, services.environment, server, order=run.order, without=without)


def _nic(services: Services, run: NicRun) -> compute.Nic:
    with services.database.reader() as session:
        return port_payloads.nics([ports.get(session, run.state.port_id)])[0]


ATTACH = Workflow(
    "attach_interface", NicState,
    (
        ControlStep("find_server", find_server, undo=take_port_back),
        HostStep("prepare_network", find_host.agent, prepare_network, binary=NETWORK, record=record_prepared,
                 after=network_sync.changed, undo=HostUndo(withdraw_network)),
        HostStep("compute_attach_interface", find_host.agent, attach_nic, record=record_attached, after=report_attached,
                 undo=HostUndo(take_nic_back)),
    ),
    failed=stay_without,
)
DETACH = Workflow(
    "detach_interface", NicState,
    (
        ControlStep("find_server", find_server),
        HostStep("unplug_guest", find_host.agent, take_nic_back, undo=HostUndo(plug_guest_again)),
        HostStep("withdraw_network", find_host.agent, withdraw_network, binary=NETWORK,
                 undo=HostUndo(prepare_network)),
        RowStep("compute_detach_interface", record=record_detached, after=report_detached),
    ),
    failed=stay_with,
)
