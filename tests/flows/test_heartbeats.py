# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of daemons become rows: collected by an interval, and the first one of a daemon at once."""

from __future__ import annotations

from nova_lite.conductor.reports import Heartbeats
from nova_lite.db.hosts import hosts
from nova_lite.rpc.conductor import ServiceReport
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.wait import wait_until


def test_the_first_report_of_each_daemon_is_written_before_the_interval_ends(cloud: OneProcess) -> None:
    def is_written(agent: str) -> bool:
        with cloud.database.reader() as session:
            return any(service.agent == agent for service in hosts.services(session, binary="nova-network"))

    heartbeats = Heartbeats(cloud.services, flush_s=3600)
    heartbeats.start()
    try:
        for agent in ("first", "second"):
            heartbeats.report(CTXT, status=ServiceReport(binary="nova-network", agent=agent))
            assert wait_until(lambda agent=agent: is_written(agent), f"the report of {agent}")
    finally:
        heartbeats.stop()
