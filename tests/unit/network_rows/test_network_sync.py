# SPDX-License-Identifier: Apache-2.0
"""What the conductor pushes to hosts: differences under a revision, once for each host, and only to hosts that need it."""

from __future__ import annotations

import dataclasses
import random
from typing import Any, cast

import oslo_messaging as messaging
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.conductor.network_sync import NetworkSync
from nova_lite.context import system_context
from nova_lite.db.base import utcnow
from nova_lite.db.engine import Database
from nova_lite.db.network import interfaces, network_changes, networks, ports, security_groups
from nova_lite.db.network.network_changes import Kind, NetworkChange
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from nova_lite.db.network.security_groups import SecurityGroupRule
from nova_lite.payloads import service_reports
from nova_lite.payloads.cloud_addresses import cloud_addresses
from nova_lite.rpc.conductor import Inventory, ServiceReport
from nova_lite.rpc.network import Network as SentNetwork
from nova_lite.rpc.network import Revisions, SecurityGroupChange, digest_of
from tests.support import databases
from tests.support.options import defaults
from tests.unit.network_rows import rows

CTXT = system_context()


@dataclasses.dataclass
class Workers:
    """The services that the pusher uses: keeps what network workers are sent, in order."""

    database: Database
    sent: list[tuple[str, str, Any]] = dataclasses.field(default_factory=list)
    conf: Any = dataclasses.field(default_factory=defaults)
    now: Any = utcnow

    def network(self, agent: str) -> Any:
        workers = self

        class Worker:
            def __getattr__(self, method: str) -> Any:
                def send(_ctxt: object, **arguments: Any) -> None:
                    (value,) = arguments.values()
                    workers.sent.append((agent, method, value))

                return send

        return Worker()

    def push(self) -> list[tuple[str, str, Any]]:
        """What one push sends."""
        NetworkSync(cast(Any, self)).push()
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def workers(database: Database) -> Workers:
    """Hosts a, b and c; servers s1 on a and s2 on b, in the default group of one project. Nothing is pending."""
    with database.writer() as session:
        for number, name in enumerate(("a", "b", "c"), start=1):
            rows.host(session, name, tunnel_ip=f"192.0.2.{number}")
        network = rows.network(session)
        rows.server(session, "s1", network, at="a")
        rows.server(session, "s2", network, at="b")
    made = Workers(database)
    made.push()
    return made


def only_network(session: Session) -> Network:
    return networks.get(session, session.scalars(sa.select(Network.id)).one())


def start(session: Session, server_id: str) -> Port:
    """A server with a port in the default group is on its host; which one does not matter."""
    port = rows.port(session, server_id, only_network(session))
    interfaces.join_networks(session, server_id)
    return port


def pending(database: Database) -> int:
    with database.reader() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(NetworkChange)) or 0


def test_a_new_member_is_one_address_to_each_host_of_the_group(workers: Workers) -> None:
    with workers.database.writer() as session:
        port = start(session, "s3")
        address, group_id = port.addresses[0].address, port.security_groups[0].group_id
    sent = workers.push()
    assert [(agent, method) for agent, method, _ in sent] == [("agent-a", "change_groups"), ("agent-b", "change_groups")]
    for _, _, (change,) in sent:
        assert (change.id, [member.address for member in change.added], change.removed, change.rules) == (group_id, [address], (), None)
        assert change.base_revision < change.revision
    assert pending(workers.database) == 0


def test_changes_are_numbered_without_a_gap(workers: Workers) -> None:
    revisions = []
    for number in range(3):
        with workers.database.writer() as session:
            start(session, f"s{number + 3}")
        revisions.append([(value[0].base_revision, value[0].revision) for _, _, value in workers.push()])
    assert revisions[0][0][1] == revisions[1][0][0]
    assert revisions[1][0][1] == revisions[2][0][0]


def test_a_clock_that_was_set_back_makes_no_revision_smaller(workers: Workers) -> None:
    latest = []
    for number in range(2):
        with workers.database.writer() as session:
            start(session, f"s{number + 3}")
        latest.append(workers.push()[0][2][0].revision)
        workers.now = lambda: utcnow().replace(year=2001)
    assert latest[0] < latest[1]


def test_a_member_that_joined_and_left_before_the_push_is_removed(workers: Workers) -> None:
    with workers.database.writer() as session:
        port = rows.port(session, "s3", only_network(session))
        address = port.addresses[0].address
    with workers.database.writer() as session:
        interfaces.release_for_server(session, "s3")
    change: SecurityGroupChange = workers.push()[0][2][0]
    assert (change.added, [member.address for member in change.removed]) == ((), [address])


def test_servers_that_start_at_once_are_one_message_to_each_host(workers: Workers) -> None:
    for number in range(5):
        with workers.database.writer() as session:
            start(session, f"n{number}")
    sent = workers.push()
    assert len(sent) == 2
    assert len(sent[0][2][0].added) == 5


def test_members_of_a_group_that_no_rule_names_are_not_sent(workers: Workers) -> None:
    with workers.database.writer() as session:
        web = security_groups.create(session, project_id=rows.PROJECT, name="web", description="")
        port = ports.of_servers(session, ["s1"])["s1"][0]
        ports.regroup(session, port, [*(member.group_id for member in port.security_groups), web.id])
    assert workers.push() == []
    assert pending(workers.database) == 0


def test_a_group_that_a_new_rule_names_is_fetched_whole(workers: Workers) -> None:
    with workers.database.writer() as session:
        web = security_groups.create(session, project_id=rows.PROJECT, name="web", description="")
        default = security_groups.default(session, rows.PROJECT).id
        security_groups.add_rule(session, SecurityGroupRule(
            group_id=default, project_id=rows.PROJECT, direction="ingress", ethertype="IPv4", remote_group_id=web.id))
    (_, _, changes), _ = workers.push()
    by_id = {change.id: change for change in changes}
    assert by_id[default].rules
    assert by_id[web.id].base_revision == by_id[web.id].revision


def test_hosts_are_sent_changes_of_groups_that_their_groups_name(workers: Workers) -> None:
    with workers.database.writer() as session:
        rows.server(session, "s9", only_network(session), at="c", project_id="other")
        default = security_groups.default(session, rows.PROJECT).id
        other = security_groups.default(session, "other").id
        security_groups.add_rule(session, SecurityGroupRule(
            group_id=other, project_id="other", direction="ingress", ethertype="IPv4", remote_group_id=default))
    workers.push()
    with workers.database.writer() as session:
        network_changes.record(session, Kind.RULES, [default])
    assert [agent for agent, _, _ in workers.push()] == ["agent-a", "agent-b", "agent-c"]


def test_a_group_that_no_host_has_is_not_sent(workers: Workers) -> None:
    with workers.database.writer() as session:
        fresh = security_groups.create(session, project_id=rows.PROJECT, name="x", description="")
        network_changes.record(session, Kind.RULES, [fresh.id])
    assert workers.push() == []


def test_a_host_that_joins_a_network_is_made_known_to_all_its_hosts(workers: Workers) -> None:
    with workers.database.writer() as session:
        rows.server(session, "s3", only_network(session), at="c")
        ports.plug(session, "s3", host="c", is_up=False)
        interfaces.join_networks(session, "s3")
    sent = {agent: value[0] for agent, method, value in workers.push() if method == "update_networks"}
    assert {agent: network.peers for agent, network in sent.items()} == {
        "agent-a": ("192.0.2.2", "192.0.2.3"), "agent-b": ("192.0.2.1", "192.0.2.3"), "agent-c": ("192.0.2.1", "192.0.2.2")}
    assert len({network.revision for network in sent.values()}) == 1


def test_a_server_on_a_host_that_has_the_network_changes_no_peers(workers: Workers) -> None:
    with workers.database.writer() as session:
        rows.server(session, "s3", only_network(session), at="a")
        interfaces.join_networks(session, "s3")
    assert {method for _, method, _ in workers.push()} == {"change_groups", "change_forwarding"}


def test_two_servers_that_join_at_once_are_both_recorded(workers: Workers) -> None:
    with workers.database.writer() as session:
        for server_id in ("s3", "s4"):
            rows.server(session, server_id, only_network(session), at="c")
            ports.plug(session, server_id, host="c", is_up=False)
        for server_id in ("s3", "s4"):
            interfaces.join_networks(session, server_id)
        kinds = list(session.scalars(sa.select(NetworkChange.kind).where(NetworkChange.kind == str(Kind.NETWORK))))
    assert len(kinds) == 2


@pytest.mark.parametrize("leave", ["release_for_server", "leave_host", "take_back"])
def test_the_last_server_that_leaves_a_host_takes_the_host_off_its_network(workers: Workers, leave: str) -> None:
    with workers.database.writer() as session:
        port_id = ports.of_servers(session, ["s2"])["s2"][0].id
        getattr(interfaces, leave)(session, "s2", *([port_id] if leave == "take_back" else []))
    sent = {agent: value[0] for agent, method, value in workers.push() if method == "update_networks"}
    assert {agent: network.peers for agent, network in sent.items()} == {"agent-a": ()}


def test_a_server_that_leaves_another_behind_changes_no_peers(workers: Workers) -> None:
    with workers.database.writer() as session:
        rows.server(session, "s3", only_network(session), at="b")
    workers.push()
    with workers.database.writer() as session:
        interfaces.release_for_server(session, "s2")
    assert {method for _, method, _ in workers.push()} == {"change_groups", "change_forwarding"}


def test_a_host_whose_tunnel_address_changes_is_reached_there(workers: Workers) -> None:
    inventory = Inventory(
        host="b", vcpus=4, ram_mb=4096, disk_gb=40, architecture="x86_64", hypervisor_type="fake", hypervisor_version=1,
        hypervisor_hostname="b", virt_type="fake", virt_reason="", cpu_info="{}", host_ip="", tunnel_ip="192.0.2.99")
    status = ServiceReport(binary="nova-compute", agent="agent-b", inventories=(inventory,))
    for _ in range(2):
        with workers.database.writer() as session:
            service_reports.register(session, status, names=["b"], now=utcnow())
        sent = {agent: value[0].peers for agent, method, value in workers.push() if method == "update_networks"}
        assert sent in ({"agent-a": ("192.0.2.99",), "agent-b": ("192.0.2.1",)}, {}), "the second time nothing changed"
    assert pending(workers.database) == 0


def test_a_changed_address_and_group_of_a_port_is_sent(workers: Workers) -> None:
    with workers.database.writer() as session:
        port = ports.of_servers(session, ["s1"])["s1"][0]
        old = port.addresses[0].address
        ports.readdress(session, port, network=only_network(session), wanted=[ports.Wanted(address="10.0.0.77")], rng=random.Random(1))
    (_, _, (change,)), _ = workers.push()
    assert [member.address for member in change.added] == ["10.0.0.77"]
    assert [member.address for member in change.removed] == [old]


def test_what_a_crash_cut_off_is_sent_again(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    with workers.database.writer() as session:
        network_changes.record(session, Kind.NETWORK, [only_network(session).id])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(network_changes, "delete", crash)
        with pytest.raises(KeyboardInterrupt):
            workers.push()
    first: SentNetwork = workers.sent[0][2][0]
    workers.sent.clear()
    again: SentNetwork = workers.push()[0][2][0]
    assert dataclasses.replace(again, revision=0) == dataclasses.replace(first, revision=0)
    assert again.revision > first.revision


def test_a_deleted_network_is_removed_from_every_host_that_is_up(workers: Workers) -> None:
    with workers.database.writer() as session:
        session.add(rows.network_service("a"))
        network_changes.record(session, Kind.NETWORK_DELETED, ["gone"])
    assert workers.push() == [("agent-a", "remove_network", "gone")]


def test_a_push_of_one_boot_takes_few_statements(workers: Workers) -> None:
    with workers.database.writer() as session:
        rows.port(session, "s3", only_network(session))
    with databases.counted(workers.database) as statements:
        workers.push()
    assert len(statements) <= 7, statements


def test_the_state_that_a_host_fetches_has_the_revisions_that_it_is_sent(workers: Workers) -> None:
    with workers.database.writer() as session:
        network_id = only_network(session).id
        group_id = security_groups.default(session, rows.PROJECT).id
        network_changes.record(session, Kind.NETWORK, [network_id])
        network_changes.record(session, Kind.RULES, [group_id])
        network_changes.record(session, Kind.SERVER, ["s1", "s2"])
    sent = {(agent, method): value for agent, method, value in workers.push()}
    state = NetworkSync(cast(Any, workers)).network_state(
        CTXT, agent="agent-a", group_ids=(group_id,), network_ids=(network_id, "gone"), server_ids=("s1", "s2"))
    assert state.networks == sent["agent-a", "update_networks"]
    assert state.servers == (sent["agent-a", "refresh"],)
    (group,) = state.groups
    (change,) = sent["agent-a", "change_groups"]
    assert (group.revision, group.rules, len(group.members)) == (change.revision, change.rules, 2)


def test_every_host_hears_of_changed_addresses_of_the_cloud(workers: Workers) -> None:
    with workers.database.writer() as session:
        session.add(rows.network_service("a"))
        network_changes.record(session, Kind.ADDRESSES, ["cloud"])
    closed = NetworkSync(cast(Any, workers)).cloud_addresses(CTXT)
    assert "192.0.2.2" in closed
    assert workers.push() == [("agent-a", "check_revisions", Revisions(
        groups={}, networks={}, servers={}, cloud_addresses=digest_of(closed)))]


def test_addresses_of_the_cloud_are_those_of_hosts_bus_and_options(database: Database) -> None:
    conf = defaults()
    conf.set_override("my_ip", "192.0.2.3")
    conf.set_override("protected_cidrs", ["198.51.100.0/24"], group="network")
    messaging.TransportURL.parse(conf)  # registers the option
    conf.set_override("transport_url", "rabbit://u:p@192.0.2.4:5672,u:p@127.0.0.1:5672/")
    with database.writer() as session:
        rows.host(session, "a", tunnel_ip="192.0.2.1")
        session.flush()
        assert cloud_addresses(session, conf) == ("192.0.2.1", "192.0.2.3", "192.0.2.4", "198.51.100.0/24")
