# SPDX-License-Identifier: Apache-2.0
"""Hosts that can run no guests, or have not reported yet: they are taken out with the reason, and come back by themselves."""

from __future__ import annotations

import dataclasses
import datetime
import random
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts
from nova_lite.rpc.conductor import ServiceReport
from nova_lite.rpc.payload import from_wire, to_wire
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.service import Placements
from tests.support.flows.one_process import CTXT, OneProcess

WHY = "host node: the hypervisor refused to describe the host: libvirt has not answered for 7 s"
LATER = datetime.timedelta(seconds=30)


def beat(cloud: OneProcess, *, trouble: str = "") -> None:
    inventories = () if trouble else cloud.driver.host.inventory()
    cloud.heartbeats.report(CTXT, status=ServiceReport(
        binary="nova-compute", agent="node", inventories=inventories, trouble=trouble))
    cloud.heartbeats.flush()


def seen(cloud: OneProcess, binary: str = "nova-compute") -> set[tuple[bool, str | None, bool]]:
    """Of the workers: is it disabled, why, is it alive."""
    with cloud.database.reader() as session:
        return {(service.disabled, service.disabled_reason, hosts.is_alive(service, now=cloud.now_is(), down_time_s=20))
                for service in hosts.services(session, binary=binary)}


def test_trouble_disables_a_host_at_once_lets_it_be_down_later_and_ends_with_the_next_good_word(cloud: OneProcess) -> None:
    assert seen(cloud) == {(False, None, True)}
    beat(cloud, trouble=WHY)
    assert seen(cloud) == {(True, f"AUTO: {WHY}", True)}
    with cloud.database.writer() as session:  # as if that heartbeat had come so much earlier
        for service in hosts.services(session, binary="nova-compute"):
            service.seen_at -= LATER
    beat(cloud, trouble=WHY.replace("7 s", "37 s"))
    assert seen(cloud) == {(True, f"AUTO: {WHY.replace('7 s', '37 s')}", False)}
    beat(cloud)
    assert seen(cloud) == {(False, None, True)}


def test_what_an_operator_disabled_stays_disabled_for_his_reason(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        for service in hosts.services(session, binary="nova-compute"):
            service.disabled, service.disabled_reason = True, "new disks"
    beat(cloud, trouble=WHY)
    assert seen(cloud) == {(True, "new disks", True)}
    beat(cloud)
    assert seen(cloud) == {(True, "new disks", True)}


def test_a_worker_that_never_knew_its_host_is_listed_with_its_trouble(cloud: OneProcess) -> None:
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="new", trouble="x" * 300))
    cloud.heartbeats.flush()
    with cloud.database.reader() as session:
        [service] = hosts.services(session, binary="nova-compute", host="new")
        assert service.disabled
        assert service.disabled_reason == ("AUTO: " + "x" * 300)[:255]


def test_no_server_is_put_on_a_host_in_trouble(cloud: OneProcess) -> None:
    beat(cloud, trouble=WHY)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    fault = cloud.server(server_id).fault
    assert fault is not None
    assert "2× its hypervisor does not answer" in fault["message"]


def report_of_release_0_1(binary: str) -> ServiceReport:
    """As the conductor reads what such a worker sends, which has neither of the two fields."""
    fields: dict[str, Any] = to_wire(ServiceReport(binary=binary, agent="node"))
    report: ServiceReport = from_wire(ServiceReport, {name: value for name, value in fields.items() if name not in ("is_first", "generation")})
    return report


@pytest.mark.parametrize("binary", ["nova-compute", "nova-network"])
def test_a_host_whose_worker_is_of_an_earlier_release_is_up_and_gets_no_servers(cloud: OneProcess, binary: str) -> None:
    cloud.heartbeats.report(CTXT, status=report_of_release_0_1(binary))
    cloud.heartbeats.flush()
    assert seen(cloud, binary) == {(True, f"AUTO: {hosts.OUTDATED}", True)}
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    fault = cloud.server(server_id).fault
    assert fault is not None
    assert f"2× {binary} is of an earlier release" in fault["message"]
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent="node"))
    cloud.heartbeats.flush()
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"


def set_disabled(cloud: OneProcess, *, disabled: bool, reason: str | None = None) -> None:
    """An operator's request to each compute host."""
    with cloud.database.writer() as session:
        for service in hosts.services(session, binary="nova-compute"):
            hosts.set_disabled(session, service, disabled=disabled, reason=reason)


@pytest.mark.parametrize("reason", [None, "new disks"])
def test_a_worker_of_an_earlier_release_is_known_as_such_whatever_an_operator_does(cloud: OneProcess, reason: str | None) -> None:
    def heard() -> set[tuple[bool, str | None, bool]]:
        cloud.heartbeats.report(CTXT, status=report_of_release_0_1("nova-compute"))
        cloud.heartbeats.flush()
        return seen(cloud)

    assert heard() == {(True, f"AUTO: {hosts.OUTDATED}", True)}
    set_disabled(cloud, disabled=True, reason=reason)
    assert heard() == {(True, reason, True)}
    assert cloud.services.is_outdated("nova-compute", "node")
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert "2× nova-compute is of an earlier release" in str(cloud.server(server_id).fault)
    set_disabled(cloud, disabled=False)
    assert heard() == {(True, f"AUTO: {hosts.OUTDATED}", True)}
    set_disabled(cloud, disabled=True, reason=reason)
    beat(cloud)
    assert seen(cloud) == {(True, reason, True)}
    with cloud.database.reader() as session:
        assert not any(service.is_outdated for service in hosts.services(session))


def test_a_host_that_an_operator_disabled_gets_no_server_though_the_scheduler_has_read_it_before(cloud: OneProcess) -> None:
    cloud.conf.set_override("view_age_s", 3600, group="scheduler")

    def built() -> Server:
        server_id, action_id = cloud.create_server()
        cloud.run(action_id)
        return cloud.server(server_id)

    first = built()
    with cloud.database.writer() as session:
        for service in hosts.services(session, binary="nova-compute", host=first.host):
            hosts.set_disabled(session, service, disabled=True)
    others = [built().host for _ in range(4)]
    assert len({first.host, *others}) == 2
    assert first.host not in others
    set_disabled(cloud, disabled=True)
    assert "2 hosts: 2× disabled by an operator" in str(built().fault)
    set_disabled(cloud, disabled=False)
    assert built().vm_state == "active"


def test_a_new_host_of_a_service_that_an_operator_disabled_gets_no_server(cloud: OneProcess) -> None:
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="new", trouble=WHY))
    cloud.heartbeats.flush()
    with cloud.database.writer() as session:
        [service] = hosts.services(session, binary="nova-compute", host="new")
        hosts.set_disabled(session, service, disabled=True)
    inventory = dataclasses.replace(cloud.driver.host.inventory()[0], host="new", hypervisor_hostname="new")
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="new", inventories=(inventory,)))
    cloud.heartbeats.flush()
    with cloud.database.reader() as session:
        assert {host.name: host.closed for host in hosts.hosts(session)} == {"node-1": False, "node-2": False, "new": True}


def test_a_host_follows_its_service_that_an_earlier_release_enabled_once_the_worker_reports_anew(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(hosts.Host).where(hosts.Host.name == "node-1").values(closed=True))
    inventory = dataclasses.replace(cloud.driver.host.inventory()[0], vcpus=3)
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="node-1", inventories=(inventory,)))
    cloud.heartbeats.flush()
    with cloud.database.reader() as session:
        assert not any(host.closed for host in hosts.hosts(session))


def test_a_build_waits_for_the_first_host_of_a_cloud_that_has_just_started(cloud: OneProcess) -> None:
    table = hosts.Host.__table__
    with cloud.database.writer() as session:
        rows = [dict(row) for row in session.execute(sa.select(table)).mappings()]
        session.execute(sa.delete(hosts.Host))
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "building"
    with cloud.database.writer() as session:
        session.execute(sa.insert(table), rows)
    cloud.go_on(action_id)
    assert cloud.server(server_id).vm_state == "active"


def test_a_cloud_without_hosts_says_so_once_they_have_had_time_to_report(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.delete(hosts.Host))
    now = 100.0
    placements = Placements(cloud.conf, cloud.database, rng=random.Random(1), monotonic=lambda: now)
    request = PlacementRequest(server_id="s", project_id="p", vcpus=1, ram_mb=1, disk_gb=1)
    with pytest.raises(errors.Unavailable, match="No compute host has reported yet"):
        placements.pick_host(CTXT, request=request)
    now += cloud.conf.service_down_time
    with pytest.raises(errors.NoValidHost, match="There is no compute host"):
        placements.pick_host(CTXT, request=request)
