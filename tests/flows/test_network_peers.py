# SPDX-License-Identifier: Apache-2.0
"""Whom a boot concerns: a host that is alone on a network sees to its groups itself; others are sent what they must know."""

from __future__ import annotations

import random

import sqlalchemy as sa

from nova_lite.db.hosts.hosts import Host
from nova_lite.db.network import networks, ports, security_groups
from nova_lite.db.network.network_changes import NetworkChange
from tests.support.flows.one_process import CTXT, OneProcess


def boot(cloud: OneProcess) -> str:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    return server_id


def pending(cloud: OneProcess) -> int:
    with cloud.database.reader() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(NetworkChange)) or 0


def members(cloud: OneProcess) -> set[str]:
    """The addresses in the default group, as the host has it."""
    with cloud.database.writer() as session:
        group_id = security_groups.default(session, CTXT.project_id).id
    return {member.address for member in cloud.network_records.groups[group_id].members}


def put_elsewhere(cloud: OneProcess) -> None:
    """A server of the project on the network of another nova-compute's host."""
    with cloud.database.writer() as session:
        session.add(Host(
            name="far", agent="far", vcpus=4, ram_mb=4096, disk_gb=40, architecture="x86_64", hypervisor_type="fake",
            hypervisor_version=1, hypervisor_hostname="far", virt_type="fake", tunnel_ip="192.0.2.9"))
        network = networks.usable(session, CTXT.project_id, among=[cloud.network_id])[0]
        ports.make_for_server(
            session, server_id="elsewhere", project_id=CTXT.project_id, network=network, fixed_ip=None,
            group_ids=[security_groups.default(session, CTXT.project_id).id], position=0, rng=random.Random(3))
        ports.plug(session, "elsewhere", host="far", is_up=True)


def test_a_host_alone_on_a_network_needs_no_push(cloud: OneProcess) -> None:
    addresses = {port.addresses[0].address for server_id in (boot(cloud), boot(cloud)) for port in cloud.ports(server_id)}
    assert members(cloud) == addresses
    assert pending(cloud) == 3  # two members and the network: for a host that comes to it later
    cloud.network_sync.push()
    assert (pending(cloud), members(cloud)) == (0, addresses)


def test_a_boot_on_a_network_of_several_hosts_pushes_all_that_is_pending(cloud: OneProcess) -> None:
    boot(cloud)
    assert pending(cloud) > 0
    put_elsewhere(cloud)
    boot(cloud)
    assert pending(cloud) == 0


def test_a_released_server_is_no_member_of_the_host_s_group(cloud: OneProcess) -> None:
    first, second = boot(cloud), boot(cloud)
    kept = {port.addresses[0].address for port in cloud.ports(second)}
    cloud.run(cloud.begin_delete(first))
    cloud.network_sync.push()
    assert members(cloud) == kept
