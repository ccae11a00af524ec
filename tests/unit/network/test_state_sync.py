# SPDX-License-Identifier: Apache-2.0
"""A host applies changes of groups in their order, ignores late ones, and fetches what it missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from nova_lite.context import Context
from nova_lite.network.fake import FakeNetwork
from nova_lite.network.records import Records
from nova_lite.rpc.network import (
    Member,
    Network,
    NetworkState,
    Port,
    Revisions,
    Rule,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
    digest_of,
)
from nova_lite.worker.orders import order_of_fence

ONE, TWO, THREE = (Member(network_id="n", address=f"10.0.0.{number}") for number in (1, 2, 3))
SELF = Rule(direction="ingress", remote_group_id="g")
NET = Network(id="n", segment=1, mtu=1450, subnets=(), revision=5)
PORT = Port(id="p", network_id="n", mac="fa:16:3e:00:00:01", addresses=("10.0.0.1",), hostname="h", group_ids=("g",))
SERVER = ServerPorts(server_id="s", fence=1, networks=(NET,), ports=(PORT,), groups=(), documents={"a": "b"}, revision=3)


class Rows:
    """The conductor: answers from `state`, and counts."""

    def __init__(self) -> None:
        self.groups = {"g": SecurityGroup(id="g", rules=(SELF,), members=(ONE,), revision=10)}
        self.networks: dict[str, Network] = {}
        self.servers: dict[str, ServerPorts] = {}
        self.fetched: list[str] = []
        self.addresses = ("192.0.2.1",)
        self.meanwhile: Callable[[], None] = lambda: None

    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState:
        assert agent == "agent-a"
        self.fetched += [*group_ids, *network_ids, *server_ids]
        state = NetworkState(
            groups=tuple(self.groups[one] for one in group_ids if one in self.groups),
            networks=tuple(self.networks[one] for one in network_ids if one in self.networks),
            servers=tuple(self.servers[one] for one in server_ids if one in self.servers))
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return state

    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]:
        self.fetched.append("addresses")
        return self.addresses


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def worker(rows: Rows) -> FakeNetwork:
    """A host with one server; nothing more is to be fetched."""
    made = FakeNetwork(Records(None), source=rows, agent="agent-a")
    made.prepare(SERVER)
    rows.fetched.clear()
    return made


def group(worker: FakeNetwork) -> SecurityGroup:
    return worker._records.groups["g"]


def change(base: int, revision: int, *, added: tuple[Member, ...] = (), removed: tuple[Member, ...] = ()) -> SecurityGroupChange:
    return SecurityGroupChange(id="g", base_revision=base, revision=revision, added=added, removed=removed)


def test_a_server_brings_the_groups_that_the_host_lacks(rows: Rows) -> None:
    worker = FakeNetwork(Records(None), source=rows, agent="agent-a")
    worker.prepare(SERVER)
    assert group(worker) == rows.groups["g"]
    worker.prepare(dataclasses.replace(SERVER, server_id="s2"))
    assert rows.fetched == ["g"]


def test_changes_that_follow_each_other_are_applied(worker: FakeNetwork, rows: Rows) -> None:
    worker.change_groups([change(10, 11, added=(TWO, THREE))])
    worker.change_groups([change(11, 12, removed=(ONE, TWO))])
    assert (group(worker).members, group(worker).revision, rows.fetched) == ((THREE,), 12, [])


def test_rules_stay_unless_they_changed(worker: FakeNetwork) -> None:
    worker.change_groups([change(10, 11, added=(TWO,))])
    assert group(worker).rules == (SELF,)
    worker.change_groups([dataclasses.replace(change(11, 12), rules=())])
    assert group(worker).rules == ()


def test_a_change_that_comes_late_or_twice_changes_nothing(worker: FakeNetwork, rows: Rows) -> None:
    later = change(10, 11, added=(TWO,))
    worker.change_groups([later])
    worker.change_groups([change(11, 12, removed=(TWO,))])
    worker.change_groups([later])
    assert (group(worker).members, group(worker).revision, rows.fetched) == ((ONE,), 12, [])


def test_a_missed_change_makes_the_host_fetch_the_group(worker: FakeNetwork, rows: Rows) -> None:
    rows.groups["g"] = SecurityGroup(id="g", rules=(SELF,), members=(ONE, TWO, THREE), revision=12)
    worker.change_groups([change(11, 12, added=(THREE,))])
    assert (group(worker), rows.fetched) == (rows.groups["g"], ["g"])


def test_a_change_that_requires_the_whole_group_gets_it_once(worker: FakeNetwork, rows: Rows) -> None:
    rows.groups["g"] = SecurityGroup(id="g", rules=(SELF,), members=(TWO,), revision=12)
    worker.change_groups([change(12, 12)])
    worker.change_groups([change(12, 12)])
    assert (group(worker), rows.fetched) == (rows.groups["g"], ["g"])


def test_a_change_that_comes_while_the_group_is_fetched_is_not_lost(rows: Rows) -> None:
    worker = FakeNetwork(Records(None), source=rows, agent="agent-a")

    def meanwhile() -> None:
        rows.groups["g"] = SecurityGroup(id="g", rules=(SELF,), members=(ONE, TWO), revision=11)
        worker.change_groups([change(10, 11, added=(TWO,))])

    rows.meanwhile = meanwhile
    worker.prepare(SERVER)
    assert group(worker) == rows.groups["g"]


def test_a_fetched_group_does_not_undo_a_change_that_overtook_it(worker: FakeNetwork, rows: Rows) -> None:
    rows.meanwhile = lambda: worker.change_groups([change(10, 11, added=(TWO,))])
    worker.check_revisions(Revisions(groups={"g": 9}, networks={}, servers={}))
    assert (group(worker).members, group(worker).revision) == ((ONE, TWO), 11)


def test_a_restored_database_wins_over_what_the_host_has(worker: FakeNetwork, rows: Rows) -> None:
    rows.groups["g"] = SecurityGroup(id="g", rules=(), members=(TWO,), revision=4)
    worker.check_revisions(Revisions(groups={"g": 4}, networks={}, servers={}))
    assert group(worker) == rows.groups["g"]


def test_a_change_of_a_group_that_is_not_here_is_not_fetched(worker: FakeNetwork, rows: Rows) -> None:
    worker.change_groups([dataclasses.replace(change(1, 2), id="other")])
    assert rows.fetched == []


def test_a_group_that_a_changed_rule_names_is_fetched(worker: FakeNetwork, rows: Rows) -> None:
    rows.groups["web"] = SecurityGroup(id="web", members=(TWO,), revision=1)
    worker.change_groups([dataclasses.replace(change(10, 11), rules=(Rule(direction="ingress", remote_group_id="web"),))])
    assert worker._records.groups["web"] == rows.groups["web"]


def test_groups_go_with_the_last_server_that_needs_them(worker: FakeNetwork) -> None:
    worker.release("s", order=order_of_fence(2))
    assert worker._records.groups == {}


def test_a_network_of_an_older_revision_changes_nothing(worker: FakeNetwork) -> None:
    newer = dataclasses.replace(NET, revision=7, peers=("192.0.2.7",))
    worker.update_networks([newer])
    worker.update_networks([dataclasses.replace(NET, revision=6, peers=("192.0.2.6",))])
    worker.prepare(dataclasses.replace(SERVER, server_id="s2"))
    worker.set_peers("n", ("192.0.2.8",))
    assert worker._records.networks["n"].network == newer


def test_peers_from_release_0_1_are_set_where_no_revision_is_known() -> None:
    worker = FakeNetwork(Records(None))
    worker.prepare(dataclasses.replace(SERVER, networks=(dataclasses.replace(NET, revision=0),), ports=()))
    worker.set_peers("n", ("192.0.2.8",))
    assert worker._records.networks["n"].network.peers == ("192.0.2.8",)


def test_a_network_that_is_not_here_is_not_made(worker: FakeNetwork) -> None:
    worker.update_networks([dataclasses.replace(NET, id="other")])
    assert set(worker._records.networks) == {"n"}


def test_a_refresh_of_an_older_revision_changes_nothing(worker: FakeNetwork) -> None:
    newer = dataclasses.replace(SERVER, revision=9, ports=(dataclasses.replace(PORT, addresses=("10.0.0.9",)),))
    worker.refresh(newer)
    worker.refresh(dataclasses.replace(SERVER, revision=8, documents={}))
    assert worker._records.servers["s"] == newer


def test_what_differs_from_the_rows_is_fetched_and_nothing_else(worker: FakeNetwork, rows: Rows) -> None:
    rows.networks["n"] = dataclasses.replace(NET, revision=8, peers=("192.0.2.8",))
    rows.servers["s"] = dataclasses.replace(SERVER, fence=0, documents={}, revision=8, ports=())
    worker.check_revisions(Revisions(groups={"g": 10, "absent": 1}, networks={"n": 8, "absent": 1}, servers={"s": 8, "absent": 1}))
    assert rows.fetched == ["n", "s"]
    assert worker._records.networks["n"].network == rows.networks["n"]
    server = worker._records.servers["s"]
    assert (server.ports, server.fence, server.documents, server.revision) == ((), 1, {"a": "b"}, 8)


def test_addresses_that_differ_are_fetched_and_equal_ones_are_not(worker: FakeNetwork, rows: Rows) -> None:
    check = Revisions(groups={}, networks={}, servers={}, cloud_addresses=digest_of(rows.addresses))
    worker.check_revisions(check)
    assert rows.fetched == ["addresses"]
    worker.check_revisions(check)
    assert rows.fetched == ["addresses"]
    rows.addresses = ("192.0.2.2", "192.0.2.1")
    worker.check_revisions(dataclasses.replace(check, cloud_addresses=digest_of(rows.addresses)))
    assert (rows.fetched, worker._records.protected) == (["addresses"] * 2, ("192.0.2.1", "192.0.2.2"))
