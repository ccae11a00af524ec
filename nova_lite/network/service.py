# SPDX-License-Identifier: Apache-2.0
"""nova-network: serves NetworkRpc for one host, and sends heartbeats."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.network import names
from nova_lite.network.driver import NetworkDriver
from nova_lite.network.fake import FakeNetwork
from nova_lite.network.forwarding_sync import ForwardingSync
from nova_lite.network.instance_metadata import InstanceMetadata, MetadataBackend
from nova_lite.network.linux.bridges import Bridges
from nova_lite.network.linux.dhcp import Dhcp
from nova_lite.network.linux.driver import LinuxNetwork, Parts
from nova_lite.network.linux.firewall import Firewall
from nova_lite.network.linux.floating_ips import FloatingAddresses
from nova_lite.network.linux.forwarding import Forwarding
from nova_lite.network.linux.metadata_server import MetadataServer
from nova_lite.network.records import Records
from nova_lite.network.repair import PeriodicRepair
from nova_lite.network.state_sync import NoSource, StateSource, StateSync
from nova_lite.rpc import stopping
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.rpc.network import (
    ForwardingChange,
    Network,
    NetworkAudit,
    NetworkRpc,
    OwnedNetworks,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
)
from nova_lite.rpc.order import Order
from nova_lite.worker.admission import Admission
from nova_lite.worker.orders import Superseded, Underway, order_of_fence
from nova_lite.worker.state_lock import StateLock
from nova_lite.worker.step_reports import StepReports

LOG = logging.getLogger(__name__)


class Servers:
    """Endpoint: prepare and release a server's network, in the order of the requests; the conductor gets a report of each.

    `host`: the name of this worker.
    """

    def __init__(self, driver: NetworkDriver, conductor: ConductorRpc, *, host: str) -> None:
        self._driver = driver
        self._reports = StepReports(conductor, kind="network", host=host)
        self._underway = Underway()

    def prepare_server(self, ctxt: Context, *, ports: ServerPorts) -> None:
        with self._reported(ctxt, ports.server_id, ports.order, "prepare the network"):
            self._driver.prepare(ports)

    def release_server(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._reported(ctxt, server_id, order, "release the network"):
            self._driver.release(server_id, order=order)

    def known_orders(self, ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        return self._underway.among(orders)

    def prepare(self, ctxt: Context, *, ports: ServerPorts) -> None:
        try:
            self._driver.prepare(ports)
        except Superseded as stale:
            raise errors.StaleRequest(stale.text, **stale.kwargs) from stale

    def release(self, ctxt: Context, *, server_id: str, fence: int) -> None:
        try:
            self._driver.release(server_id, order=order_of_fence(fence))
        except Superseded as stale:
            LOG.info("server %s: left alone: %s", server_id, stale.text)

    @contextlib.contextmanager
    def _reported(self, ctxt: Context, server_id: str, order: Order, action: str) -> Iterator[None]:
        """:raises Duplicate: it is under way."""
        with self._underway.enter(server_id, order), self._reports.reported(ctxt, ("server", server_id), order, action):
            yield


class NetworkUpdates:
    """Endpoint: changes while guests run."""

    def __init__(self, driver: NetworkDriver) -> None:
        self._driver = driver

    def update_groups(self, ctxt: Context, *, groups: tuple[SecurityGroup, ...]) -> None:
        self._driver.update_groups(groups)

    def change_groups(self, ctxt: Context, *, changes: tuple[SecurityGroupChange, ...]) -> None:
        self._driver.change_groups(changes)

    def update_documents(self, ctxt: Context, *, server_id: str, documents: dict[str, str]) -> None:
        self._driver.update_documents(server_id, documents)

    def refresh(self, ctxt: Context, *, ports: ServerPorts) -> None:
        self._driver.refresh(ports)

    def set_peers(self, ctxt: Context, *, network_id: str, peers: tuple[str, ...]) -> None:
        self._driver.set_peers(network_id, peers)

    def update_networks(self, ctxt: Context, *, networks: tuple[Network, ...]) -> None:
        self._driver.update_networks(networks)

    def change_forwarding(self, ctxt: Context, *, changes: tuple[ForwardingChange, ...]) -> None:
        self._driver.change_forwarding(changes)

    def check_revisions(self, ctxt: Context, *, revisions: Revisions) -> None:
        self._driver.check_revisions(revisions)


class Inventory:
    """Endpoint: what is on this host, and the removal of a network from it."""

    def __init__(self, driver: NetworkDriver) -> None:
        self._driver = driver

    def remove_network(self, ctxt: Context, *, network_id: str) -> None:
        self._driver.remove_network(network_id)

    def owned(self, ctxt: Context) -> OwnedNetworks:
        return self._driver.owned()

    def owned_unless(self, ctxt: Context, *, digest: str) -> OwnedNetworks:
        owned = self._driver.owned()
        return dataclasses.replace(owned, server_ids=(), floating=(), is_as_expected=True) if owned.digest == digest else owned

    def owned_among(self, ctxt: Context, *, server_ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(self._driver.owned().server_ids).intersection(server_ids)))

    def audit_host(self, ctxt: Context, *, after: str) -> NetworkAudit:
        return self._driver.audit(after=after)


class NetworkService:
    """One host's network worker."""

    def __init__(self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport) -> None:
        conductor = ConductorRpc.client(transport)
        self.driver = make_driver(conf, source=conductor)
        endpoints = [Servers(self.driver, conductor, host=conf.host), NetworkUpdates(self.driver), Inventory(self.driver)]
        self._server = serve(NetworkRpc, transport, conf.host, endpoints)
        status = ServiceReport(binary="nova-network", agent=conf.host)
        self._heartbeat = Heartbeat(
            conductor, lambda: status, interval_s=conf.report_interval
        )
        self._repair = PeriodicRepair(self.driver, interval_s=conf.network.check_interval)
        directory = Path(conf.state_path) / "network"
        self._admission = Admission(transport, binary="nova-network", host=conf.host, directory=directory)
        self._lock = StateLock(directory) if conf.network.driver != "fake" else None
        self._begun = contextlib.ExitStack()

    def start(self) -> None:
        """Recover what the records say, then serve, once a conductor has admitted this worker; guests do not wait for one. If it fails,
        nothing of it goes on.

        :raises errors.NetworkFailed: the host cannot make networks; the reason says what it lacks.
        :raises errors.StateInUse: another process has its records. :raises errors.NameInUse: another worker serves this host's name.
        """
        with contextlib.ExitStack() as begun:
            if self._lock is not None:
                self._lock.take()
                begun.callback(self._lock.release)
            self._admission.request()
            begun.callback(self.driver.stop)
            self.driver.recover()
            self._admission.obtain()
            self._server.start()
            begun.callback(stopping.stop, self._server)
            self._repair.start()
            begun.callback(self._repair.stop)
            self._heartbeat.start()
            begun.callback(self._heartbeat.stop)
            self._begun = begun.pop_all()

    def stop(self) -> None:
        """Finish requests under way and end; guests keep their network."""
        self._begun.close()


def make_driver(conf: cfg.ConfigOpts, *, source: StateSource | None = None) -> NetworkDriver:
    """The configured driver; tools use it without a service, to `remove_all`."""
    options = conf.network
    if options.driver == "fake":
        return FakeNetwork(Records(None), source=source, agent=conf.host)
    directory = Path(conf.state_path) / "network"
    records = Records(directory)
    table = names.table_name(host=conf.host, directory=str(directory.resolve()))
    source = source or NoSource()
    run_directory = Path("/run/nova-lite") / table
    parts = Parts(
        bridges=Bridges(
            tunnel_ip=options.tunnel_ip, vxlan_port=options.vxlan_port, transit_cidr=options.transit_cidr
        ),
        dhcp=Dhcp(
            directory / "dhcp", run_directory=run_directory, domain=options.dns_domain, dns_servers=options.dns_servers,
            lease_s=options.dhcp_lease_s,
        ),
        floating=FloatingAddresses(
            transit_cidr=options.transit_cidr, external_interface=options.external_interface),
        firewall=Firewall(table=table, transit_cidr=options.transit_cidr,
                          vxlan_port=options.vxlan_port, is_host_open=options.guests_reach_host),
        metadata=MetadataServer(MetadataBackend(InstanceMetadata(records), source), run_directory=run_directory),
        sync=StateSync(records, source, agent=conf.host),
        forwarding=Forwarding(ForwardingSync(source), records, tunnel_ip=options.tunnel_ip),
        transit_cidr=options.transit_cidr,
    )
    return LinuxNetwork(conf.host, records, parts)
