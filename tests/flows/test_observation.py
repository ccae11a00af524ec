# SPDX-License-Identifier: Apache-2.0
"""A daemon is down only if it was silent while its observer was not (fault A), by the database's clock (fault J)."""

from __future__ import annotations

import datetime

import sqlalchemy as sa

from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action
from nova_lite.db.hosts import observation
from nova_lite.db.hosts.hosts import Service
from nova_lite.rpc.conductor import ServiceReport
from tests.support.flows.one_process import CTXT, OneProcess


def beat(cloud: OneProcess, *binaries: str) -> None:
    """These daemons report, and it is written down."""
    for binary in binaries:
        cloud.heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent="node", inventories=(
            cloud.driver.host.inventory() if binary == "nova-compute" else ())))
    cloud.heartbeats.flush()


def test_after_a_silence_of_all_a_create_is_placed_and_not_in_error(cloud: OneProcess) -> None:
    cloud.advance(seconds=60)
    beat(cloud, "nova-scheduler")  # the first to be back; nova-compute is not yet
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"


def test_a_daemon_that_stays_silent_while_others_report_is_down(cloud: OneProcess) -> None:
    cloud.advance(seconds=60)
    for _ in range(6):
        beat(cloud, "nova-scheduler")
        cloud.advance(seconds=5)
    with cloud.database.reader() as session:
        now = observation.observed(session, down_time_s=20)
    assert abs((now.until - cloud.database.clock()).total_seconds()) < 5
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "error"


def test_a_conductor_that_hears_of_nobody_but_itself_takes_nobody_for_down(cloud: OneProcess) -> None:
    """As while its clock is so wrong that it refuses all that others send."""
    for _ in range(6):
        cloud.advance(seconds=10)
        beat(cloud, "nova-conductor")
    assert is_placed(cloud)


def test_a_conductor_whose_clock_is_an_hour_ahead_leases_nothing_for_an_hour(cloud: OneProcess) -> None:
    cloud.now_is = lambda: utcnow() + datetime.timedelta(hours=1)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    beat(cloud, "nova-compute")
    assert cloud.server(server_id).vm_state == "active"
    with cloud.database.reader() as session:
        leases = session.scalars(sa.select(Action.lease_until).where(Action.lease_until.is_not(None))).all()
        seen = session.scalar(sa.text("SELECT max(seen_at) FROM services"))
    assert (leases, str(seen) < str(utcnow() + datetime.timedelta(minutes=1))) == ([], True)


def is_placed(cloud: OneProcess) -> bool:
    """Whether a server that is created now finds a host."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    return cloud.server(server_id).vm_state == "active"


def test_creates_are_placed_while_and_after_the_clock_is_set_back(cloud: OneProcess) -> None:
    beat(cloud, "nova-compute", "nova-scheduler")
    cloud.advance(seconds=-3600)
    assert is_placed(cloud), "nobody has reported since"
    beat(cloud, "nova-scheduler")
    assert is_placed(cloud), "nova-compute has not had the time to"
    beat(cloud, "nova-compute")
    assert is_placed(cloud)


def test_a_heartbeat_in_the_future_keeps_a_dead_daemon_up_no_longer_than_any(cloud: OneProcess) -> None:
    beat(cloud, "nova-compute", "nova-scheduler")
    cloud.advance(seconds=-3600)
    for _ in range(6):
        beat(cloud, "nova-scheduler")
        cloud.advance(seconds=5)
    assert not is_placed(cloud)
    beat(cloud, "nova-compute")
    assert is_placed(cloud)


def test_a_heartbeat_of_a_clock_that_was_set_back_long_ago_is_void(cloud: OneProcess) -> None:
    beat(cloud, "nova-compute", "nova-scheduler")
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).where(Service.binary == "nova-compute").values(
            seen_at=cloud.database.clock() + datetime.timedelta(hours=1)))
    cloud.advance(seconds=60)
    for _ in range(6):
        beat(cloud, "nova-scheduler")
        cloud.advance(seconds=5)
    assert not is_placed(cloud)


def test_a_small_step_back_takes_nobody_down(cloud: OneProcess) -> None:
    beat(cloud, "nova-compute", "nova-scheduler")
    cloud.advance(seconds=-4)
    assert is_placed(cloud)
