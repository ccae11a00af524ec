# SPDX-License-Identifier: Apache-2.0
"""A daemon is down only if it was silent while its observer was not (fault A), by the database's clock (fault J)."""

from __future__ import annotations

import datetime

import sqlalchemy as sa

from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action
from nova_lite.db.hosts import observation
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
    beat(cloud, "nova-conductor")  # the first to be back; nova-compute is not yet
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"


def test_a_daemon_that_stays_silent_while_others_report_is_down(cloud: OneProcess) -> None:
    cloud.advance(seconds=60)
    for _ in range(6):
        beat(cloud, "nova-conductor")
        cloud.advance(seconds=5)
    with cloud.database.reader() as session:
        now = observation.reference_time(session, down_time_s=20)
    assert abs((now - cloud.database.clock()).total_seconds()) < 5
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "error"


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
