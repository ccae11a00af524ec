# SPDX-License-Identifier: Apache-2.0
"""Hosts that share a network learn which of its ports are where: each change once, and only where there is another host."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.conductor import network_sync
from nova_lite.db.base import utcnow
from nova_lite.db.network import interfaces, networks, ports, revisions
from nova_lite.db.network.revisions import Revision
from nova_lite.payloads import forwarding, service_reports
from nova_lite.rpc.conductor import Inventory, ServiceReport
from nova_lite.rpc.network import ForwardingChange, PortPlace
from tests.unit.network_rows import rows
from tests.unit.network_rows.test_network_sync import Workers, only_network, workers  # noqa: F401 - a fixture


def mac_of(session: Session, server_id: str) -> str:
    return ports.of_servers(session, [server_id])[server_id][0].mac_address


def sent(workers: Workers) -> dict[str, ForwardingChange]:  # noqa: F811
    return {agent: value[0] for agent, method, value in workers.push() if method == "change_forwarding"}


def start(workers: Workers, server_id: str, *, at: str) -> str:  # noqa: F811
    """A server comes to a host of the network; its MAC."""
    with workers.database.writer() as session:
        rows.server(session, server_id, only_network(session), at=at)
        interfaces.join_networks(session, server_id)
        return mac_of(session, server_id)


def test_a_port_is_one_place_to_each_host_of_its_network(workers: Workers) -> None:  # noqa: F811
    mac = start(workers, "s3", at="a")
    found = sent(workers)
    assert found.keys() == {"agent-a", "agent-b"}
    change = found["agent-b"]
    assert (change.places, change.gone) == ((PortPlace(mac=mac, tunnel_ip="192.0.2.1"),), ())
    assert change.base_revision < change.revision
    start(workers, "s4", at="a")
    assert sent(workers)["agent-b"].base_revision == change.revision


def test_a_host_that_shares_its_network_with_no_other_is_sent_nothing(workers: Workers) -> None:  # noqa: F811
    with workers.database.writer() as session:
        alone = rows.network(session, cidr="10.1.0.0/24", pool=("10.1.0.2", "10.1.0.9"))
        rows.server(session, "s3", alone, at="a")
        interfaces.join_networks(session, "s3")
    assert sent(workers) == {}
    with workers.database.writer() as session:
        interfaces.release_for_server(session, "s3")
    assert sent(workers) == {}
    with workers.database.reader() as session:
        assert forwarding.revisions_of_agents(session) == {
            agent: {only_id(session, alone.id): 0} for agent in ("agent-a", "agent-b")}


def only_id(session: Session, other_id: str) -> str:
    return str(session.scalars(sa.select(networks.Network.id).where(networks.Network.id != other_id)).one())


@pytest.mark.parametrize("leave", ["release_for_server", "leave_host", "take_back"])
def test_a_port_that_leaves_its_host_is_gone(workers: Workers, leave: str) -> None:  # noqa: F811
    with workers.database.writer() as session:
        port = ports.of_servers(session, ["s2"])["s2"][0]
        mac = port.mac_address
        getattr(interfaces, leave)(session, "s2", *([port.id] if leave == "take_back" else []))
    found = sent(workers)
    assert found.keys() == {"agent-a"}
    assert (found["agent-a"].places, found["agent-a"].gone) == ((), (mac,))


def test_a_port_that_came_to_another_host_before_the_push_is_there(workers: Workers) -> None:  # noqa: F811
    with workers.database.writer() as session:
        mac = mac_of(session, "s2")
        interfaces.leave_host(session, "s2")
        ports.plug(session, "s2", host="c", is_up=False)
        interfaces.join_networks(session, "s2")
    assert sent(workers)["agent-a"].places == (PortPlace(mac=mac, tunnel_ip="192.0.2.3"),)


def test_a_port_without_port_security_may_have_more_macs(workers: Workers) -> None:  # noqa: F811
    with workers.database.writer() as session:
        interfaces.secure(session, ports.of_servers(session, ["s2"])["s2"][0], is_secured=False)
    assert [place.is_secured for place in sent(workers)["agent-a"].places] == [False]
    with workers.database.writer() as session:
        interfaces.secure(session, ports.of_servers(session, ["s2"])["s2"][0], is_secured=False)
    assert sent(workers) == {}


def test_a_host_with_another_tunnel_address_has_all_fetch_its_networks(workers: Workers) -> None:  # noqa: F811
    inventory = Inventory(
        host="b", vcpus=4, ram_mb=4096, disk_gb=40, architecture="x86_64", hypervisor_type="fake", hypervisor_version=1,
        hypervisor_hostname="b", virt_type="fake", virt_reason="", cpu_info="{}", host_ip="", tunnel_ip="192.0.2.99")
    with workers.database.writer() as session:
        service_reports.register(
            session, ServiceReport(binary="nova-compute", agent="agent-b", inventories=(inventory,)), names=["b"], now=utcnow())
    change = sent(workers)["agent-a"]
    assert change.base_revision == change.revision


def test_a_host_fetches_all_ports_of_a_network_under_its_revision(workers: Workers) -> None:  # noqa: F811
    start(workers, "s3", at="a")
    revision = sent(workers)["agent-b"].revision
    with workers.database.reader() as session:
        network = only_network(session)
        (whole,) = forwarding.forwarding(session, [network.id])
        assert whole.revision == revision
        assert {place.mac: place.tunnel_ip for place in whole.places} == {
            mac_of(session, "s1"): "192.0.2.1", mac_of(session, "s3"): "192.0.2.1", mac_of(session, "s2"): "192.0.2.2"}
        assert forwarding.revisions_of_agents(session)["agent-a"] == {network.id: revision}
    network_sync.check_revisions(workers)  # type: ignore[arg-type]
    assert {value.forwarding[network.id] for agent, method, value in workers.sent if method == "check_revisions"} == {revision}


def test_a_deleted_network_leaves_no_revision(workers: Workers) -> None:  # noqa: F811
    start(workers, "s3", at="a")
    workers.push()
    with workers.database.writer() as session:
        network = only_network(session)
        for server_id in ("s1", "s2", "s3"):
            interfaces.release_for_server(session, server_id)
        networks.delete(session, network)
    with workers.database.reader() as session:
        assert session.get(Revision, revisions.of_forwarding(network.id)) is None
