# SPDX-License-Identifier: Apache-2.0
"""Addresses are given once each, cheaply, by many allocators at the same time."""

from __future__ import annotations

import random
import threading

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.engine import Database
from nova_lite.db.network import interfaces, networks, ports, security_groups
from nova_lite.db.network.ip_allocations import Address, Wanted
from nova_lite.db.network.ports import Port
from tests.support import databases
from tests.unit.network_rows import rows


def test_a_server_s_port_costs_three_inserts_and_no_query(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        group_id = security_groups.default(session, rows.PROJECT).id
        session.flush()
        with databases.counted(database) as statements:
            ports.make_for_server(
                session, server_id="s", project_id=rows.PROJECT, network=network, fixed_ip=None,
                group_ids=[group_id], position=0, rng=random.Random(1))
    words = [statement.split()[0] for statement in statements]
    assert words == ["INSERT", "INSERT", "INSERT"]


def test_every_address_of_a_pool_is_given_and_then_none(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session, pool=("10.0.0.10", "10.0.0.40"))
        given = [rows.port(session, f"s{number}", network).addresses[0].address for number in range(31)]
        assert sorted(given) == sorted(f"10.0.0.{number}" for number in range(10, 41))
        with pytest.raises(errors.NoCapacity):
            rows.port(session, "one-more", network)


def test_many_allocators_never_give_an_address_twice(database: Database) -> None:
    with database.writer() as session:
        network_id = rows.network(session).id
        security_groups.default(session, rows.PROJECT)

    def allocate(worker: int) -> None:
        for number in range(20):
            with database.writer() as session:
                rows.port(session, f"s{worker}-{number}", networks.get(session, network_id))

    workers = [threading.Thread(target=allocate, args=(worker,)) for worker in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with database.reader() as session:
        given = list(session.scalars(sa.select(Address.address)))
    assert len(given) == len(set(given)) == 120


def test_a_lost_race_is_run_again(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        first = rows.port(session, "s1", network, seed="same")
        second = rows.port(session, "s2", network, seed="same")  # the same MAC comes out of the same seed
        assert first.mac_address != second.mac_address
        assert first.addresses[0].address != second.addresses[0].address


def test_two_subnets_serve_when_the_first_is_full(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session, pool=("10.0.0.2", "10.0.0.2"))
        networks.add_subnet(session, network, networks.Subnet(
            network_id=network.id, project_id=rows.PROJECT, cidr="10.0.1.0/24", gateway="10.0.1.1",
            pools=[["10.0.1.2", "10.0.1.9"]]))
        networks.lock_ranges(session, [network])
        assert rows.port(session, "s1", network).addresses[0].address == "10.0.0.2"
        assert rows.port(session, "s2", network).addresses[0].address.startswith("10.0.1.")


def test_a_fixed_address_outside_or_taken_is_refused(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        assert rows.port(session, "s1", network, fixed_ip="10.0.0.77").addresses[0].address == "10.0.0.77"
        with pytest.raises(errors.Conflict):
            rows.port(session, "s2", network, fixed_ip="10.0.0.77")
        with pytest.raises(errors.BadRequest):
            rows.port(session, "s2", network, fixed_ip="10.3.0.77")
        assert session.scalar(sa.select(sa.func.count()).select_from(Port)) == 1


def test_two_fixed_addresses_of_one_port_differ(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        port_id = ports.create(session, {"project_id": rows.PROJECT}, network=network, wanted=[Wanted(), Wanted()],
                               group_ids=[], rng=random.Random(3))
        assert len({address.address for address in ports.get(session, port_id).addresses}) == 2


def test_a_users_port_is_bound_once_and_outlives_the_server(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        own = ports.create(session, {"project_id": rows.PROJECT}, network=network, wanted=None, group_ids=[],
                           rng=random.Random(4))
        rows.port(session, "s1", network)
        bound = ports.bind_given(session, own, "s1", project_id=rows.PROJECT, position=1)
        assert (bound.device_id, bound.position, bound.network.id) == ("s1", 1, network.id)
        with pytest.raises(errors.InUse):
            ports.bind_given(session, own, "s2", project_id=rows.PROJECT, position=0)
        with pytest.raises(errors.NotFound):
            ports.bind_given(session, own, "s2", project_id="other", position=0)
    with database.writer() as session:
        assert [port.id for port in ports.of_servers(session, ["s1"])["s1"]][1:] == [own]
        interfaces.release_for_server(session, "s1")
    with database.reader() as session:
        assert ports.of_servers(session, ["s1"]) == {"s1": []}
        assert ports.get(session, own).device_id == ""
        assert session.scalar(sa.select(sa.func.count()).select_from(Address)) == 1


def test_ports_of_many_servers_cost_three_queries(database: Database) -> None:
    with database.writer() as session:
        network = rows.network(session)
        for number in range(5):
            rows.port(session, f"s{number}", network)
    with database.reader() as session, databases.counted(database) as statements:
        found = ports.of_servers(session, [f"s{number}" for number in range(6)])
    assert len(statements) == 3
    assert [len(found[f"s{number}"]) for number in range(6)] == [1, 1, 1, 1, 1, 0]
    port = found["s0"][0]
    assert (port.network.name, port.security_groups[0].group.name, len(port.addresses)) == ("n", "default", 1)


def test_two_first_needs_make_one_default_group(database: Database) -> None:
    ids: list[str] = []

    def need() -> None:
        with database.writer() as session:
            ids.append(security_groups.default(session, rows.PROJECT).id)

    threads = [threading.Thread(target=need) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_groups_are_found_by_name_or_id_and_the_default_is_made(database: Database) -> None:
    with database.writer() as session:
        web = security_groups.create(session, project_id=rows.PROJECT, name="web", description="")
        found = security_groups.named(session, rows.PROJECT, ["default", "web", web.id])
        assert [group.name for group in found] == ["default", "web"]
        with pytest.raises(errors.BadRequest):
            security_groups.named(session, rows.PROJECT, ["unknown"])
        with pytest.raises(errors.BadRequest):
            security_groups.named(session, "other", [web.id])
        security_groups.create(session, project_id=rows.PROJECT, name="web", description="")
        with pytest.raises(errors.BadRequest, match="Multiple"):
            security_groups.named(session, rows.PROJECT, ["web"])
