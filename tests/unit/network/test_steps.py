# SPDX-License-Identifier: Apache-2.0
"""Steps of actions at a network worker: done in the order of the requests, and reported to the conductor however they end."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, cast

import oslo_messaging as messaging
import pytest

from nova_lite import errors
from nova_lite.context import Context, system_context
from nova_lite.network.fake import FakeNetwork
from nova_lite.network.records import Records
from nova_lite.network.service import Servers
from nova_lite.rpc.conductor import Outcome, StepReport
from nova_lite.rpc.network import ServerPorts
from nova_lite.rpc.order import Order
from nova_lite.worker.orders import Duplicate
from tests.unit.network.test_service import ports

CTXT = system_context()


def at(action: int, sequence: int = 2) -> Order:
    return Order(epoch=3, action=action, sequence=sequence, nonce=f"n{action}")


def ports_at(order: Order) -> ServerPorts:
    return dataclasses.replace(ports(fence=0), order=order)


class Worker:
    """A worker of the fake driver, and what it reported."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []
        self.driver = FakeNetwork(Records(None))
        self.endpoint = Servers(self.driver, cast(Any, self), host="node")

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self.reports.append(report)

    @property
    def ended(self) -> list[tuple[Outcome, Order]]:
        return [(report.outcome, report.order) for report in self.reports]


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_is_done_is_reported_with_its_order(worker: Worker) -> None:
    worker.endpoint.prepare_server(CTXT, ports=ports_at(at(1)))
    assert worker.driver.owned().server_ids == ("b1",)
    worker.endpoint.release_server(CTXT, server_id="b1", order=at(2))
    assert worker.driver.owned().server_ids == ()
    assert worker.ended == [(Outcome.DONE, at(1)), (Outcome.DONE, at(2))]


def test_a_request_that_comes_again_is_reported_again(worker: Worker) -> None:
    for _ in range(2):
        worker.endpoint.prepare_server(CTXT, ports=ports_at(at(1)))
    for _ in range(2):
        worker.endpoint.release_server(CTXT, server_id="b1", order=at(2))
    assert worker.ended == [(Outcome.DONE, at(1))] * 2 + [(Outcome.DONE, at(2))] * 2


def test_an_older_prepare_is_reported_stale_with_the_order_of_the_release(worker: Worker) -> None:
    worker.endpoint.release_server(CTXT, server_id="b1", order=at(9))
    worker.endpoint.prepare_server(CTXT, ports=ports_at(at(8)))
    assert worker.ended[1:] == [(Outcome.STALE, at(8))]
    assert (worker.reports[1].known, worker.driver.owned().server_ids) == (at(9), ())


def test_an_older_prepare_is_reported_stale_with_the_order_of_the_newer_one(worker: Worker) -> None:
    worker.endpoint.prepare_server(CTXT, ports=ports_at(at(9)))
    worker.endpoint.prepare_server(CTXT, ports=ports_at(at(8)))
    assert (worker.ended[1:], worker.reports[1].known) == ([(Outcome.STALE, at(8))], at(9))


def test_an_older_release_is_reported_stale_and_leaves_the_server_alone(worker: Worker) -> None:
    worker.endpoint.prepare_server(CTXT, ports=ports_at(at(9)))
    worker.endpoint.release_server(CTXT, server_id="b1", order=at(8))
    assert (worker.ended[1:], worker.reports[1].known) == ([(Outcome.STALE, at(8))], at(9))
    assert worker.driver.owned().server_ids == ("b1",)


def test_a_release_that_is_older_than_another_one_is_reported_stale(worker: Worker) -> None:
    worker.endpoint.release_server(CTXT, server_id="b1", order=at(9))
    worker.endpoint.release_server(CTXT, server_id="b1", order=at(8))
    assert (worker.ended[1:], worker.reports[1].known) == ([(Outcome.STALE, at(8))], at(9))


@pytest.mark.parametrize(("error", "may_pass", "said"), [
    (errors.NetworkFailed(host="node", action="prepare", reason="no bridge"), False, "no bridge"),
    (errors.ServiceDown(service="nova-conductor", host="any host", reason="no answer in time"), True, "no answer in time"),
    (messaging.RemoteError("OperationalError", "the database is away"), True, "no conductor answers"),
    (KeyError("a defect"), False, "operator's log"),
], ids=["refused", "passes", "of the conductor", "defect"])
def test_a_failure_is_reported_with_its_reason(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, error: Exception, may_pass: bool, said: str,  # a parameter of the test
) -> None:
    def fail(ports: ServerPorts) -> None:
        raise error

    monkeypatch.setattr(worker.driver, "prepare", fail)
    worker.endpoint.prepare_server(CTXT, ports=ports_at(at(1)))
    report = worker.reports[0]
    assert (report.outcome, report.may_pass, said in report.reason) == (Outcome.FAILED, may_pass, True)


def test_what_is_under_way_is_known_and_not_begun_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def prepare(ports: ServerPorts) -> None:
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(worker.driver, "prepare", prepare)
    first = threading.Thread(target=worker.endpoint.prepare_server, args=(CTXT,), kwargs={"ports": ports_at(at(1))})
    first.start()
    assert begun.wait(10)
    assert worker.endpoint.known_orders(CTXT, orders=(at(1), at(2))) == (at(1),)
    with pytest.raises(Duplicate):
        worker.endpoint.prepare_server(CTXT, ports=ports_at(at(1)))
    go_on.set()
    first.join(10)
    assert worker.endpoint.known_orders(CTXT, orders=(at(1),)) == ()
    assert worker.ended == [(Outcome.DONE, at(1))]
