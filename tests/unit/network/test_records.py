# SPDX-License-Identifier: Apache-2.0
"""What the worker writes down survives it, and decides which requests are too late."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nova_lite import errors
from nova_lite.network.instance_metadata import InstanceMetadata
from nova_lite.network.linux.driver import LinuxNetwork
from nova_lite.network.records import Records, order_of
from nova_lite.rpc.network import Network, Port, Rule, SecurityGroup, ServerPorts, Subnet
from nova_lite.rpc.order import NEVER, Order
from nova_lite.worker.orders import order_of_fence

NET = Network(id="n1", segment=1, mtu=1450, subnets=(Subnet(id="s1", cidr="10.0.0.0/24", gateway="10.0.0.1"),))


def ports(server_id: str = "b1", *, fence: int = 1, address: str = "10.0.0.5", groups: tuple[str, ...] = ()) -> ServerPorts:
    plug = Port(
        id=f"p-{server_id}", network_id="n1", mac="fa:16:3e:00:00:01", addresses=(address,), hostname="h",
        group_ids=groups,
    )
    return ServerPorts(server_id=server_id, fence=fence, networks=(NET,), ports=(plug,), groups=(), documents={"a": "b"})


@pytest.fixture
def records(tmp_path: Path) -> Records:
    made = Records(tmp_path)
    made.load()
    return made


def again(tmp_path: Path) -> Records:
    """What another process finds on disk."""
    made = Records(tmp_path)
    made.load()
    return made


def test_everything_is_there_after_a_restart(tmp_path: Path, records: Records) -> None:
    held = records.add_network(NET)
    records.put_server(ports(groups=("g1",)))
    records.put_groups([SecurityGroup(id="g1", rules=(Rule(direction="egress"),), revision=3)])

    found = again(tmp_path)

    assert found.networks == {"n1": held}
    assert found.servers == records.servers
    assert found.groups == records.groups


def test_files_are_the_owners_alone(tmp_path: Path, records: Records) -> None:
    records.put_server(ports())

    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}

    assert modes == {0o700, 0o600}


def test_a_half_written_file_is_forgotten(tmp_path: Path, records: Records) -> None:
    (tmp_path / "servers" / "b9.tmp").write_text('{"server')

    assert again(tmp_path).servers == {}
    assert not list(tmp_path.rglob("*.tmp"))


def test_networks_get_the_lowest_free_index_and_keep_it(tmp_path: Path, records: Records) -> None:
    for name in ("n1", "n2", "n3"):
        records.add_network(Network(id=name, segment=1, mtu=1450, subnets=()))
    records.drop_network("n2")

    assert records.add_network(Network(id="n4", segment=1, mtu=1450, subnets=())).index == 1
    assert again(tmp_path).networks["n3"].index == 2


def test_a_removal_that_was_cut_off_is_remembered(tmp_path: Path, records: Records) -> None:
    records.add_network(NET)
    records.mark_leaving("n1")

    assert again(tmp_path).networks["n1"].is_leaving


def test_a_prepare_not_above_a_release_is_refused_after_a_restart_too(tmp_path: Path, records: Records) -> None:
    records.put_tombstone("b1", order_of_fence(5))

    with pytest.raises(errors.StaleRequest):
        again(tmp_path).refuse_stale(ports(fence=5))
    again(tmp_path).refuse_stale(ports(fence=6))


def test_a_prepare_may_be_repeated_but_not_be_older_than_the_last(records: Records) -> None:
    records.put_server(ports(fence=5))

    records.refuse_stale(ports(fence=5))
    with pytest.raises(errors.StaleRequest):
        records.refuse_stale(ports(fence=4))


def test_a_tombstone_never_goes_back(records: Records) -> None:
    records.put_tombstone("b1", order_of_fence(5))
    records.put_tombstone("b1", order_of_fence(3))

    assert records.tombstone("b1") == order_of_fence(5)


def test_tombstones_are_forgotten_after_a_week(tmp_path: Path, records: Records) -> None:
    records.put_tombstone("b1", order_of_fence(5))
    os.utime(tmp_path / "tombstones" / "b1.json", (0, 0))

    assert again(tmp_path).tombstone("b1") == NEVER


def test_an_older_revision_of_a_group_is_no_news(records: Records) -> None:
    new, old = (SecurityGroup(id="g1", revision=number) for number in (2, 1))

    assert records.put_groups([new]) == [new]
    assert records.put_groups([old]) == []
    assert records.groups["g1"] == new


def test_groups_stay_while_a_port_is_in_them_or_such_a_groups_rule_names_them(records: Records) -> None:
    records.put_groups([
        SecurityGroup(id="g1", rules=(Rule(direction="ingress", remote_group_id="g2"),)),
        SecurityGroup(id="g2", rules=(Rule(direction="ingress", remote_group_id="g3"),)), SecurityGroup(id="g3"),
    ])
    records.put_server(ports(groups=("g1",)))

    records.drop_unneeded_groups()

    assert set(records.groups) == {"g1", "g2"}


def test_documents_are_found_by_network_and_address_only(records: Records) -> None:
    documents = InstanceMetadata(records)
    records.put_server(ports())

    assert documents.find("n1", "10.0.0.5") == {"a": "b"}
    assert documents.find("n2", "10.0.0.5") is None
    assert documents.find("n1", "10.0.0.6") is None


def test_a_released_servers_documents_are_gone_but_not_those_of_its_addresses_next_owner(records: Records) -> None:
    documents = InstanceMetadata(records)
    records.put_server(ports("b1"))
    records.put_server(ports("b2"))

    records.drop_server("b1")
    assert documents.find("n1", "10.0.0.5") is not None
    records.drop_server("b2")
    assert documents.find("n1", "10.0.0.5") is None


def test_a_new_network_gets_no_index_that_another_cloud_has(records: Records) -> None:
    assert records.add_network(NET, taken={0, 2}).index == 1
    assert records.add_network(NET, taken={1}).index == 1, "one that is here keeps its own"
    assert records.add_network(Network(id="n2", segment=2, mtu=1450, subnets=()), taken={0, 2}).index == 3


def test_requests_of_this_release_come_after_all_that_release_0_1_recorded(records: Records) -> None:
    records.put_server(ports(fence=10**9))

    records.refuse_stale(ordered(Order(epoch=1, action=1)))
    records.put_server(ordered(Order(epoch=1, action=1)))
    with pytest.raises(errors.StaleRequest):
        records.refuse_stale(ports(fence=10**9 + 1))


def test_equal_orders_of_two_databases_are_not_taken_for_one(records: Records) -> None:
    records.put_server(ordered(Order(epoch=1, action=1, nonce="a")))

    records.refuse_stale(ordered(Order(epoch=1, action=1, nonce="a")))
    with pytest.raises(errors.StaleRequest):
        records.refuse_stale(ordered(Order(epoch=1, action=1, nonce="b")))


def test_an_order_survives_a_restart(tmp_path: Path, records: Records) -> None:
    order = Order(epoch=7, action=3, attempt=2, sequence=1, nonce="a")
    records.put_server(ordered(order))
    records.put_tombstone("b2", order)

    assert order_of(again(tmp_path).servers["b1"]) == order
    assert again(tmp_path).tombstone("b2") == order


def ordered(order: Order) -> ServerPorts:
    """The ports as this release sends them."""
    return dataclasses.replace(ports(fence=0), order=order)


def test_a_worker_with_another_name_changes_nothing_on_the_host_of_these_records(tmp_path: Path, records: Records) -> None:
    records.claim("node1")
    records.put_server(ports())
    nothing = cast(Any, SimpleNamespace(sync=None, firewall=None))  # what it would change the host with
    with pytest.raises(errors.WrongHost, match="by host node1, and this host is called node2"):
        LinuxNetwork("node2", again(tmp_path), nothing).recover()
    again(tmp_path).claim("node1")


def test_a_host_that_holds_nothing_may_get_another_name(tmp_path: Path, records: Records) -> None:
    records.claim("node1")
    again(tmp_path).claim("node2")
    records.clear()
    assert not list(tmp_path.rglob("host"))
