# SPDX-License-Identifier: Apache-2.0
"""Makes the rows that tests of networks start from."""

from __future__ import annotations

import random

from sqlalchemy.orm import Session

from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Host, Service
from nova_lite.db.network import networks, ports, security_groups
from nova_lite.db.network.networks import Network, Subnet
from nova_lite.db.network.ports import Port
from nova_lite.values.flavor import Flavor

PROJECT = "p" * 32


def network(session: Session, *, cidr: str = "10.0.0.0/24", pool: tuple[str, str] = ("10.0.0.2", "10.0.0.254"),
            shared: bool = False, project_id: str = PROJECT) -> Network:
    made = networks.create(session, Network(project_id=project_id, name="n", mtu=1450, shared=shared), segment=None,
                           rng=random.Random(1))
    networks.add_subnet(session, made, Subnet(
        network_id=made.id, project_id=project_id, cidr=cidr, gateway="10.0.0.1", pools=[list(pool)]))
    return networks.get(session, made.id)


def host(session: Session, name: str, *, tunnel_ip: str | None = None) -> None:
    session.add(Host(
        name=name, agent=f"agent-{name}", vcpus=4, ram_mb=4096, disk_gb=40, architecture="x86_64", tunnel_ip=tunnel_ip,
        hypervisor_type="fake", hypervisor_version=1, hypervisor_hostname=name, virt_type="fake"))


def network_service(host: str) -> Service:
    """The row of a network worker that is up."""
    return Service(binary="nova-network", host=host, agent=f"agent-{host}")


def server(session: Session, server_id: str, on: Network, *, at: str | None = None, project_id: str = PROJECT) -> Server:
    """A server with one port in the default group, plugged at host `at`."""
    row = Server(
        id=server_id, project_id=project_id, user_id="u", name=server_id, hostname=server_id, flavor=Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1), vcpus=1,
        ram_mb=1, total_gb=1, vm_state="active", reservation_id="r", host=at, agent=at and f"agent-{at}")
    session.add(row)
    port(session, server_id, on, project_id=project_id)
    ports.plug(session, server_id, host=at, is_up=at is not None)
    return row


def port(session: Session, server_id: str, on: Network, *, fixed_ip: str | None = None, seed: object = None,
         project_id: str = PROJECT) -> Port:
    return ports.get(session, ports.make_for_server(
        session, server_id=server_id, project_id=project_id, network=on, fixed_ip=fixed_ip, position=0,
        group_ids=[security_groups.default(session, project_id).id], rng=random.Random(str(seed or server_id))))
