# SPDX-License-Identifier: Apache-2.0
"""Server groups, scheduler hints and availability zones of aggregates are kept, with simulated hosts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from nova_lite.db.compute.server_groups import ServerGroup
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import aggregates
from nova_lite.db.hosts.aggregates import Aggregate
from tests.support.flows.one_process import OneProcess


def group(cloud: OneProcess, policy: str) -> str:
    with cloud.database.writer() as session:
        made = ServerGroup(project_id="p" * 32, user_id="u" * 32, name="g", policy=policy)
        session.add(made)
        session.flush()
        return made.id


def build(cloud: OneProcess, **columns: Any) -> Server:
    server_id, action_id = cloud.create_server()
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == server_id).values(**columns))
    cloud.run(action_id)
    return cloud.server(server_id)


def test_affinity_keeps_servers_together(cloud: OneProcess) -> None:
    group_id = group(cloud, "affinity")
    assert len({build(cloud, group_id=group_id).host for _ in range(4)}) == 1


def test_anti_affinity_keeps_servers_apart_and_says_why_no_more_fit(cloud: OneProcess) -> None:
    group_id = group(cloud, "anti-affinity")
    assert len({build(cloud, group_id=group_id).host for _ in range(2)}) == 2
    third = build(cloud, group_id=group_id)
    assert third.vm_state == "error"
    assert "2× has servers of the server group" in str(third.fault)


def test_a_server_that_is_gone_makes_room_in_its_group(cloud: OneProcess) -> None:
    group_id = group(cloud, "anti-affinity")
    first, _ = (build(cloud, group_id=group_id) for _ in range(2))
    cloud.run(cloud.begin_delete(first.id))
    assert build(cloud, group_id=group_id).host == first.host


def test_soft_policies_never_refuse(cloud: OneProcess) -> None:
    apart = group(cloud, "soft-anti-affinity")
    hosts = [build(cloud, group_id=apart).host for _ in range(4)]
    assert sorted(hosts.count(host) for host in set(hosts)) == [2, 2]


def test_same_host_and_different_host_are_kept(cloud: OneProcess) -> None:
    first = build(cloud)
    assert {build(cloud, scheduler_hints={"same_host": first.id}).host for _ in range(3)} == {first.host}
    assert {build(cloud, scheduler_hints={"different_host": [first.id]}).host for _ in range(3)} != {first.host}


def test_a_zone_of_an_aggregate_takes_servers(cloud: OneProcess) -> None:
    name = str(build(cloud).host)
    with cloud.database.reader() as session:
        other = next(host for host in host_names(session) if host != name)
    with cloud.database.writer() as session:
        made = aggregates.add(session, Aggregate(name="east", metadata_items={"availability_zone": "east"}))
        session.flush()
        aggregates.add_host(session, made, other)
    placed = build(cloud, requested_az="east")
    assert (placed.host, placed.availability_zone) == (other, "east")


def host_names(session: Any) -> list[str]:
    return list(session.scalars(sa.text("SELECT name FROM hosts")))
