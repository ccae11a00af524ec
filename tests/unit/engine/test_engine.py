# SPDX-License-Identifier: Apache-2.0
"""The engine alone: actions of a resource that is no server, steps on two hosts, waits without a thread, orders."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.engine import Engine
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import ControlStep, HostStep, HostUndo, RowStep, Run, Workflow
from nova_lite.db import database_epoch
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import DONE, FAILED, Action
from nova_lite.payloads.environment import Environment
from nova_lite.rpc.conductor import Outcome, StepReport
from nova_lite.rpc.order import Order
from tests.support import databases
from tests.support.options import defaults


@dataclasses.dataclass(frozen=True)
class CopyState:
    """Of a made-up resource, a tape, whose contents are copied from one host to another."""

    host: str = "source"
    length: int = 0


class Tapes:
    """Engines over one database, and two hosts that keep what they are sent."""

    def __init__(self, directory: Path) -> None:
        self.database = databases.fresh(directory)
        self.offset = 0.0
        self.database.clock = lambda: utcnow() + datetime.timedelta(seconds=self.offset)
        self.sent: list[tuple[str, Order]] = []
        self.threads = 0
        self.failed: list[str] = []
        nobody = cast(Any, None)
        self.services = Services(
            conf=defaults(), database=self.database, scheduler=nobody, conductor=nobody, api=nobody, compute=nobody,
            network=nobody, volume=nobody, now=self.database.clock, network_changed=lambda: None,
            environment=Environment("", "", lambda project_id: "", lambda sealed: sealed, lambda text: text))
        self.engine = self.start_conductor("first")

    def start_conductor(self, name: str) -> Engine:
        with self.database.writer() as session:
            database_epoch.renew(session)
        return Engine(self.services, {"copy_tape": self.workflow()}, owner=name, submit=self._submit, wake=lambda seconds, work: None)

    def _submit(self, work: Callable[[], None], project_id: str) -> None:
        self.threads += 1
        work()

    def workflow(self) -> Workflow[CopyState]:
        def to(host: str) -> Callable[[Services, Run[CopyState]], None]:
            return lambda services, run: self.sent.append((host, run.order))

        def measure(services: Services, run: Run[CopyState]) -> CopyState:
            return dataclasses.replace(run.state, length=90)

        def failed(session: Session, run: Run[CopyState], error: errors.NovaLiteError) -> None:
            self.failed.append(error.text)

        return Workflow(
            "copy_tape", CopyState,
            (
                ControlStep("measure", measure),
                HostStep("read", lambda run: "source", to("source"), undo=HostUndo(to("source"))),
                HostStep("write", lambda run: "dest", to("dest"),
                         record=lambda session, run: dataclasses.replace(run.state, host="dest"), undo=HostUndo(to("dest"))),
                RowStep("label"),
            ),
            failed=failed, resource_type="tape")

    def begin(self, number: int = 1) -> int:
        with self.database.writer() as session:
            return actions.begin(session, ("tape", f"tape-{number}"), "copy_tape", actions.Requester("req-1", "u", "p")).id

    def report(self, order: Order, outcome: Outcome = Outcome.DONE, **more: Any) -> None:
        self.engine.report(StepReport(
            order=order, resource_type="tape", resource_id="tape-1", host="h", outcome=outcome, **more))

    def action(self, action_id: int) -> Action:
        with self.database.reader() as session:
            return session.get_one(Action, action_id)


@pytest.fixture
def tapes(tmp_path: Path) -> Tapes:
    return Tapes(tmp_path)


def test_an_action_of_a_made_up_resource_runs_on_two_hosts_to_its_end(tapes: Tapes) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1])
    tapes.report(tapes.sent[1][1])
    assert ([host for host, _ in tapes.sent], tapes.action(action_id).state) == (["source", "dest"], DONE)
    with tapes.database.reader() as session:
        events = actions.events(session, session.get_one(Action, action_id))
    assert [(event.name, event.result) for event in events] == [
        ("measure", "Success"), ("read", "Success"), ("write", "Success"), ("label", "Success")]
    assert tapes.action(action_id).saved["length"] == 90


def test_a_step_waits_an_hour_without_a_thread_through_two_restarts(tapes: Tapes) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    for name in ("second", "third"):
        tapes.offset += 1800
        tapes.engine = tapes.start_conductor(name)
        tapes.engine.start(action_id)  # as the message that it was cast by, come again
    assert (tapes.action(action_id).awaiting_step, tapes.action(action_id).lease_owner, tapes.engine.active) == ("read", None, set())
    tapes.report(tapes.sent[0][1])
    tapes.report(tapes.sent[1][1])
    assert tapes.action(action_id).state == DONE


def test_a_thousand_wait_at_once(tapes: Tapes) -> None:
    ids = [tapes.begin(number) for number in range(1000)]
    for action_id in ids:
        tapes.engine.start(action_id)
    assert (len(tapes.sent), len(tapes.engine.active)) == (1000, 0)
    for _, order in list(tapes.sent):
        tapes.report(order)
    for _, order in tapes.sent[1000:]:
        tapes.report(order)
    with tapes.database.reader() as session:
        done = session.scalar(sa.select(sa.func.count()).where(Action.state == DONE))
    assert done == 1000


def test_a_failure_on_the_second_host_is_undone_on_both_latest_first(tapes: Tapes) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1])
    tapes.report(tapes.sent[1][1], Outcome.FAILED, reason="no tape")
    undos = tapes.sent[2:]
    assert [host for host, _ in undos] == ["dest"]
    tapes.report(undos[0][1])
    assert [host for host, _ in tapes.sent[2:]] == ["dest", "source"]
    assert tapes.sent[1][1].key < tapes.sent[2][1].key < tapes.sent[3][1].key, "undos come after what they undo"
    tapes.report(tapes.sent[3][1])
    assert (tapes.action(action_id).state, tapes.failed) == (FAILED, ["no tape"])


@pytest.mark.parametrize("times", [2, 3])
def test_reports_that_come_again_change_nothing(tapes: Tapes, times: int) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    first = tapes.sent[0][1]
    for _ in range(times):
        tapes.report(first)
    assert (len(tapes.sent), tapes.action(action_id).awaiting_step) == (2, "write")


def test_a_host_that_is_newer_than_a_restored_database_gets_a_new_epoch(tapes: Tapes) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    order = tapes.sent[0][1]
    lost = Order(epoch=order.epoch, action=action_id + 50, sequence=2, nonce="lost")
    tapes.report(order, Outcome.STALE, known=lost)
    again = tapes.sent[1][1]
    assert (again.key > lost.key, again.nonce, again.action) == (True, order.nonce, action_id)
    tapes.report(again)
    assert tapes.action(action_id).awaiting_step == "write"


def test_a_step_that_a_later_action_of_this_database_has_overtaken_fails(tapes: Tapes) -> None:
    first, later = tapes.begin(), tapes.begin()
    tapes.engine.start(first)
    row = tapes.action(later)
    tapes.report(tapes.sent[0][1], Outcome.STALE, known=Order(epoch=row.epoch, action=later, sequence=2, nonce=row.nonce))
    assert tapes.action(first).state == "undoing"
    assert str(later) in str(tapes.action(first).message)


@pytest.fixture
def measured(tapes: Tapes) -> list[int]:
    """Makes the step `read` one that has been done once its action is in this list."""
    done: list[int] = []
    workflow = tapes.engine.workflows["copy_tape"]
    tapes.engine.workflows = {"copy_tape": dataclasses.replace(workflow, steps=tuple(
        dataclasses.replace(step, is_done=lambda services, run: run.action_id in done) if isinstance(step, HostStep) and step.key == "read" else step
        for step in workflow.steps))}
    return done


@pytest.mark.parametrize("may_pass", [True, False])
def test_a_step_that_failed_but_is_done_has_ended(tapes: Tapes, measured: list[int], may_pass: bool) -> None:  # a parameter
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    measured.append(action_id)
    tapes.report(tapes.sent[0][1], Outcome.FAILED, reason="there is one already", may_pass=may_pass)
    assert (tapes.action(action_id).awaiting_step, tapes.action(action_id).message) == ("write", None)


def test_a_step_that_is_stale_but_done_has_ended(tapes: Tapes, measured: list[int]) -> None:
    action_id, later = tapes.begin(), tapes.begin()
    tapes.engine.start(action_id)
    measured.append(action_id)
    row = tapes.action(later)
    tapes.report(tapes.sent[0][1], Outcome.STALE, known=Order(epoch=row.epoch, action=later, sequence=2, nonce=row.nonce))
    assert tapes.action(action_id).awaiting_step == "write"


def test_a_step_whose_report_was_lost_but_is_done_has_ended_at_its_deadline(tapes: Tapes, measured: list[int]) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    measured.append(action_id)
    tapes.engine.expire(action_id)
    assert tapes.action(action_id).awaiting_step == "write"


def test_a_step_that_is_done_is_undone_like_any_other(tapes: Tapes, measured: list[int]) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    measured.append(action_id)
    tapes.report(tapes.sent[0][1])
    tapes.report(tapes.sent[1][1], Outcome.FAILED, reason="no tape")
    tapes.report(tapes.sent[2][1])
    tapes.report(tapes.sent[3][1], Outcome.FAILED, reason="the host is busy", may_pass=True)
    assert (tapes.action(action_id).state, tapes.action(action_id).awaiting_step) == ("undoing", "read")


def test_an_error_that_may_pass_is_sent_again_with_the_same_order(tapes: Tapes) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    order = tapes.sent[0][1]
    tapes.report(order, Outcome.FAILED, reason="the database is away", may_pass=True)
    assert tapes.action(action_id).wake_at is not None
    tapes.engine.resend(action_id)
    assert tapes.sent[1][1] == order
    tapes.report(order)
    assert tapes.action(action_id).awaiting_step == "write"
