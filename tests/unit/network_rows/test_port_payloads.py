# SPDX-License-Identifier: Apache-2.0
"""What workers are sent of ports, networks and groups, and which of them are sent."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from nova_lite.db.engine import Database
from nova_lite.db.network import networks, ports, security_groups
from nova_lite.db.network.networks import Subnet
from nova_lite.db.network.security_groups import SecurityGroupRule
from nova_lite.payloads import guest
from nova_lite.payloads import networks as network_payloads
from nova_lite.payloads import ports as port_payloads
from nova_lite.payloads import security_groups as group_payloads
from nova_lite.payloads.environment import Environment
from nova_lite.rpc import network as network_rpc
from nova_lite.rpc.order import Order
from tests.support import databases
from tests.unit.network_rows import rows

ORDER = Order(epoch=1, action=5)


def test_a_server_is_described_in_three_queries(database: Database) -> None:
    with database.writer() as session:
        rows.host(session, "a", tunnel_ip="192.0.2.1")
        rows.host(session, "b", tunnel_ip="192.0.2.2")
        rows.host(session, "c", tunnel_ip="192.0.2.3")
        network = rows.network(session, shared=True)
        server = rows.server(session, "s1", network, at="a")
        rows.server(session, "s2", network, at="b")
    with database.reader() as session, databases.counted(database) as statements:
        sent = port_payloads.server_ports(session, server, order=ORDER, documents={"x": "y"})
    assert len(statements) <= 3
    assert (sent.server_id, sent.order, sent.documents) == ("s1", ORDER, {"x": "y"})
    assert sent.networks[0].peers == ("192.0.2.2",)
    assert (sent.networks[0].is_routed, sent.networks[0].subnets[0].gateway) == (True, "10.0.0.1")
    assert (sent.ports[0].hostname, len(sent.ports[0].addresses), sent.ports[0].is_secured) == ("s1", 1, True)
    with database.reader() as session:
        (group,) = group_payloads.groups(session, sent.ports[0].group_ids)
    assert sent.ports[0].group_ids == (group.id,)
    assert {rule.direction for rule in group.rules} == {"ingress", "egress"}
    assert len(group.rules) == 2
    assert len(group.members) == 2


def test_a_guest_has_its_addresses_where_there_is_no_dhcp(database: Database) -> None:
    environment = Environment(dns_domain="", public_url="", image_token=lambda *_, **__: "", open_secret=lambda _: None, seal_secret=lambda text: text)
    with database.writer() as session:
        rows.host(session, "a")
        network = rows.network(session)
        session.query(Subnet).update({"enable_dhcp": False, "dns_nameservers": ["9.9.9.9"]})
        server = rows.server(session, "s1", network, at="a")
        session.flush()
        sent = guest.server_ports(session, environment, server)
    (described,) = json.loads(sent.documents["openstack/latest/network_data.json"])["networks"]
    assert (described["type"], described["ip_address"], described["netmask"]) == ("ipv4", sent.ports[0].addresses[0], "255.255.255.0")
    assert described["routes"] == [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"}]
    assert described["services"] == [{"type": "dns", "address": "9.9.9.9"}]


def test_a_group_that_a_rule_names_comes_along_with_its_members(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        web = security_groups.create(session, project_id=rows.PROJECT, name="web", description="")
        db = security_groups.create(session, project_id=rows.PROJECT, name="db", description="")
        security_groups.add_rule(session, SecurityGroupRule(
            group_id=db.id, project_id=rows.PROJECT, direction="ingress", protocol="tcp", port_min=5432,
            port_max=5432, remote_group_id=web.id))
        member = rows.port(session, "s1", network)
        ports.regroup(session, ports.get(session, member.id), [web.id])
        address = member.addresses[0].address
    with database.reader() as session:
        sent = {group.id: group for group in group_payloads.groups(session, [db.id])}
    assert set(sent) == {web.id, db.id}
    assert sent[web.id].members == (network_rpc.Member(network_id=network.id, address=address),)
    assert sent[db.id].members == ()


def test_hosts_get_the_range_of_a_rule_that_was_written_by_an_address_in_it(database: Database) -> None:
    with database.writer() as session:
        group = security_groups.create(session, project_id=rows.PROJECT, name="web", description="")
        security_groups.add_rule(session, SecurityGroupRule(
            group_id=group.id, project_id=rows.PROJECT, direction="ingress", remote_cidr="10.2.3.124/24"))
    with database.reader() as session:
        (sent,) = group_payloads.groups(session, [group.id])
    assert "10.2.3.0/24" in {rule.remote_cidr for rule in sent.rules}


def test_peers_are_the_other_hosts_of_the_network(database: Database) -> None:
    with database.writer() as session:
        rows.host(session, "a", tunnel_ip="192.0.2.1")
        rows.host(session, "b", tunnel_ip="192.0.2.2")
        rows.host(session, "c")
        network = rows.network(session)
        rows.server(session, "s1", network, at="a")
        assert peers(session, network.id, agent="agent-a") == ()
        rows.server(session, "s2", networks.get(session, network.id), at="b")
        rows.server(session, "s3", networks.get(session, network.id), at="c")
    with database.reader() as session:
        assert peers(session, network.id, agent="agent-a") == ("192.0.2.2",)
        assert peers(session, network.id, agent="agent-b") == ("192.0.2.1",)


def peers(session: Session, network_id: str, *, agent: str) -> tuple[str, ...]:
    (sent,) = network_payloads.networks(session, [network_id], agent=agent)
    return sent.peers


def test_nics_carry_the_networks_mtu_and_the_hosts_names(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        rows.port(session, "s1", network)
    with database.reader() as session:
        (port,) = ports.of_servers(session, ["s1"])["s1"]
        (nic,) = port_payloads.nics([port])
    assert (nic.mtu, nic.mac, nic.bridge) == (1450, port.mac_address, f"br-{network.id[:11]}")
    assert nic.tap == f"tap{port.id[:11]}"
