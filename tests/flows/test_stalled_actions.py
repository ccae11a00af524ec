# SPDX-License-Identifier: Apache-2.0
"""Open actions that nobody works on, however many there are: each look leaves none out."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.conductor.reconcilers import stalled_actions
from nova_lite.conductor.reconcilers.stalled_actions import GRACE_S, StalledActions
from nova_lite.conductor.reports import Heartbeats
from nova_lite.context import Context
from nova_lite.db.compute import actions
from nova_lite.db.hosts.hosts import Service
from nova_lite.lifecycle.servers import ACTIONS, FIND_SERVER
from nova_lite.rpc.conductor import ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.order import Order
from nova_lite.runtime.periodic import Periodic
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.wait import wait_until

PAGE = 10


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalled_actions, "PAGE", PAGE)
    monkeypatch.setattr(stalled_actions, "BATCH", PAGE)


def await_reports(cloud: OneProcess, number: int) -> list[int]:
    """So many actions, each of a server of its own, that a worker has had for a while; their ids."""
    _, action_id = cloud.create_server()
    cloud.bus.clear()
    with cloud.database.writer() as session:
        first = {column.key: getattr(session.get_one(actions.Action, action_id), column.key) for column in sa.inspect(actions.Action).mapper.column_attrs}
        session.execute(sa.delete(actions.Action))
        session.execute(sa.insert(actions.Action), [
            first | {"id": position, "resource_id": f"server-{position}", "name": "pause", "state": "running", "step": FIND_SERVER,
                     "awaiting_step": ACTIONS["pause"].host_step, "awaiting_host": "node", "saved": {"host": "node-1", "agent": "node"}}
            for position in range(1, number + 1)])
    cloud.advance(seconds=GRACE_S + 1)
    return list(range(1, number + 1))


def with_worker(cloud: OneProcess, known_orders: Any) -> StalledActions:
    """The reconciler, whose workers answer so."""
    services = dataclasses.replace(cloud.services, compute=lambda agent: SimpleNamespace(known_orders=known_orders))
    cloud.report_services()
    return StalledActions(services, cloud.engine)


def test_all_that_await_a_worker_are_looked_at_however_many_older_ones_there_are(cloud: OneProcess) -> None:
    awaiting = await_reports(cloud, 2 * PAGE + 3)
    queried: list[int] = []

    def known_orders(ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        queried.extend(order.action for order in orders)
        return orders

    with_worker(cloud, known_orders).look()
    assert queried == awaiting


def test_what_a_worker_lost_is_sent_again_though_more_than_a_page_of_older_ones_takes_long(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch,
) -> None:
    youngest = await_reports(cloud, PAGE + 1)[-1]
    sent: list[int] = []
    monkeypatch.setattr(cloud.engine, "resend", sent.append)
    reconciler = with_worker(cloud, lambda ctxt, *, orders: tuple(order for order in orders if order.action != youngest))
    reconciler.look()
    assert sent == [youngest]


def test_all_that_nobody_works_on_is_started_in_turn(cloud: OneProcess) -> None:
    awaiting = await_reports(cloud, 2 * PAGE + 1)
    with cloud.database.writer() as session:
        session.execute(sa.update(actions.Action).values(awaiting_step=None, awaiting_host=None))
    started: list[int] = []
    conductor = SimpleNamespace(run=lambda ctxt, *, action_id: started.append(action_id))
    reconciler = StalledActions(dataclasses.replace(cloud.services, conductor=conductor), cloud.engine)  # type: ignore[arg-type]
    for _ in range(3):
        cloud.advance(seconds=GRACE_S + 1)
        reconciler.look()
    assert started == awaiting


def test_a_worker_of_an_earlier_release_is_sent_nothing_and_its_actions_end_in_time_with_that_reason(cloud: OneProcess) -> None:
    [action_id] = await_reports(cloud, 1)
    sent: list[object] = []
    reconciler = with_worker(cloud, lambda ctxt, *, orders: sent.extend(orders))
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="node", generation=1))
    cloud.heartbeats.flush()
    reconciler.look()
    cloud.advance(seconds=cloud.conf.conductor.long_action_timeout + 1)
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="node", generation=1))
    cloud.heartbeats.flush()
    reconciler.look()
    assert sent == []
    with cloud.database.reader() as session:
        assert "nova-compute on node is of an earlier release, and was not upgraded within" in str(session.get_one(actions.Action, action_id).message)


def test_a_lost_request_that_nobody_can_make_again_is_logged_once_and_not_sent(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    [password, pause] = await_reports(cloud, 2)
    with cloud.database.writer() as session:
        session.execute(sa.update(actions.Action).where(actions.Action.id == password).values(
            name="change_password", awaiting_step=ACTIONS["change_password"].host_step))
    sent: list[int] = []
    monkeypatch.setattr(cloud.engine, "resend", sent.append)
    reconciler = with_worker(cloud, lambda ctxt, *, orders: ())
    with caplog.at_level(logging.INFO, stalled_actions.__name__):
        for _ in range(3):
            reconciler.look()
    assert sent == [pause] * 3
    assert [line.split(": ")[0] for line in caplog.messages] == [f"action {password}", f"action {pause}"]
    assert "can be sent by nobody again" in caplog.messages[0]


class Restarted:
    """A cloud whose conductor looks when it is woken, and else once an hour; its worker forgets all when it restarts."""

    def __init__(self, cloud: OneProcess, sent: list[int]) -> None:
        self.known = True
        cloud.engine.resend = sent.append  # type: ignore[method-assign]
        self.reconciler = with_worker(cloud, lambda ctxt, *, orders: orders if self.known else ())
        self.reconciler.look()
        self.periodic = Periodic("stalled actions", self.reconciler.look, interval_s=3600)
        self.periodic.start()
        self.heartbeats = Heartbeats(cloud.services, started=self._worker_started)

    def _worker_started(self, binary: str, agent: str) -> None:
        self.reconciler.worker_started(binary, agent)
        self.periodic.call_soon()

    def report(self, *, is_first: bool, binary: str = "nova-compute") -> None:
        self.heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent="node", is_first=is_first))


@pytest.fixture
def sent() -> list[int]:
    return []


@pytest.fixture
def restarted(cloud: OneProcess, sent: list[int]) -> Iterator[Restarted]:
    await_reports(cloud, 1)
    made = Restarted(cloud, sent)
    yield made
    made.periodic.stop()


def test_what_a_worker_had_in_hand_is_sent_again_with_its_first_report(restarted: Restarted, sent: list[int]) -> None:
    restarted.report(is_first=False)  # the first that this conductor hears of it
    restarted.known = False
    restarted.report(is_first=True)
    wait_until(lambda: sent == [1], "the action to be sent again", details=lambda: str(sent))


def test_what_rests_is_sent_again_when_its_worker_starts_though_it_was_down(
    cloud: OneProcess, restarted: Restarted, sent: list[int],
) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(actions.Action).values(wake_at=cloud.database.clock() + datetime.timedelta(seconds=30)))
        session.execute(sa.update(Service).values(seen_at=cloud.database.clock() - datetime.timedelta(seconds=60)))
    restarted.known = False
    restarted.report(is_first=True)
    wait_until(lambda: sent == [1], "the action to be sent again", details=lambda: str(sent))


def test_a_report_after_a_silence_counts_as_a_start_and_others_do_not(cloud: OneProcess) -> None:
    started: list[tuple[str, str]] = []
    at_s = [0.0]
    heartbeats = Heartbeats(cloud.services, started=lambda *worker: started.append(worker), monotonic=lambda: at_s[-1])
    for moment, binary in ((0.0, "nova-compute"), (5.0, "nova-compute"), (10.0, "nova-conductor"), (26.0, "nova-compute"), (31.0, "nova-compute")):
        at_s.append(moment)
        heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent="node"))
    assert started == [("nova-compute", "node")] * 2


def test_the_first_report_of_a_process_says_so_and_no_other_does() -> None:
    reports: list[ServiceReport] = []
    conductor = SimpleNamespace(report=lambda ctxt, *, status: reports.append(status))
    heartbeat = Heartbeat(conductor, lambda: ServiceReport(binary="nova-compute", agent="node"), interval_s=5)  # type: ignore[arg-type]
    for _ in range(3):
        heartbeat.beat()
    assert [report.is_first for report in reports] == [True, False, False]
