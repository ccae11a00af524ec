# SPDX-License-Identifier: Apache-2.0
"""nova-network: serves NetworkRpc for one host, and sends heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite.context import Context
from nova_lite.network import names
from nova_lite.network.driver import NetworkDriver
from nova_lite.network.fake import FakeNetwork
from nova_lite.network.instance_metadata import InstanceMetadata, MetadataBackend
from nova_lite.network.linux.bridges import Bridges
from nova_lite.network.linux.dhcp import Dhcp
from nova_lite.network.linux.driver import LinuxNetwork, Parts
from nova_lite.network.linux.firewall import Firewall
from nova_lite.network.linux.floating_ips import FloatingAddresses
from nova_lite.network.linux.metadata_backend import MetadataListeners, WSGIApplication
from nova_lite.network.records import Records
from nova_lite.network.repair import PeriodicRepair
from nova_lite.network.state_sync import NoSource, StateSource, StateSync
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.rpc.network import (
    Network,
    NetworkRpc,
    OwnedNetworks,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
)
from nova_lite.rpc.order import Order
from nova_lite.worker.orders import order_of_fence

LOG = logging.getLogger(__name__)
MetadataAppFactory = Callable[[MetadataBackend], WSGIApplication]


class Servers:
    """Endpoint: prepare and release a server's network."""

    def __init__(self, driver: NetworkDriver) -> None:
        self._driver = driver

    def prepare(self, ctxt: Context, *, ports: ServerPorts) -> None:
        self._driver.prepare(ports)

    def release(self, ctxt: Context, *, server_id: str, fence: int) -> None:
        self._driver.release(server_id, order=order_of_fence(fence))

    def release_server(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        self._driver.release(server_id, order=order)


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


class NetworkService:
    """One host's network worker. `metadata_app_factory` gets what guests may read and write,
    and returns the WSGI application that answers them (`nova_lite.api.metadata`)."""

    def __init__(
        self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport, *, metadata_app_factory: MetadataAppFactory
    ) -> None:
        conductor = ConductorRpc.client(transport)
        self.driver = make_driver(
            conf, metadata_app_factory=lambda metadata: metadata_app_factory(MetadataBackend(metadata, conductor)),
            source=conductor)
        endpoints = [Servers(self.driver), NetworkUpdates(self.driver), Inventory(self.driver)]
        self._server = serve(NetworkRpc, transport, conf.host, endpoints)
        status = ServiceReport(binary="nova-network", agent=conf.host)
        self._heartbeat = Heartbeat(
            conductor, lambda: status, interval_s=conf.report_interval
        )
        self._repair = PeriodicRepair(self.driver, interval_s=conf.network.check_interval)

    def start(self) -> None:
        """Recover what the records say, then serve.

        :raises errors.NetworkFailed: the host cannot make networks; the reason says what it lacks.
        """
        self.driver.recover()
        self._server.start()
        self._heartbeat.start()
        self._repair.start()

    def stop(self) -> None:
        """Finish requests under way and end; guests keep their network."""
        self._heartbeat.stop()
        self._repair.stop()
        self._server.stop()
        self._server.wait()
        self.driver.stop()


def make_driver(
    conf: cfg.ConfigOpts, *, metadata_app_factory: Callable[[InstanceMetadata], WSGIApplication], source: StateSource | None = None,
) -> NetworkDriver:
    """The configured driver; tools use it without a service, to `remove_all`."""
    options = conf.network
    if options.driver == "fake":
        return FakeNetwork(Records(None), source=source, agent=conf.host)
    directory = Path(conf.state_path) / "network"
    records = Records(directory)
    parts = Parts(
        bridges=Bridges(
            tunnel_ip=options.tunnel_ip, vxlan_port=options.vxlan_port, transit_cidr=options.transit_cidr
        ),
        dhcp=Dhcp(
            directory / "dhcp", domain=options.dns_domain, dns_servers=options.dns_servers,
            lease_s=options.dhcp_lease_s,
        ),
        floating=FloatingAddresses(
            transit_cidr=options.transit_cidr, external_interface=options.external_interface),
        firewall=Firewall(table=names.table_name(host=conf.host, directory=str(directory.resolve())), transit_cidr=options.transit_cidr,
                          vxlan_port=options.vxlan_port, is_host_open=options.guests_reach_host),
        metadata=MetadataListeners(metadata_app_factory(InstanceMetadata(records))),
        sync=StateSync(records, source or NoSource(), agent=conf.host),
        transit_cidr=options.transit_cidr,
    )
    return LinuxNetwork(conf.host, records, parts)
