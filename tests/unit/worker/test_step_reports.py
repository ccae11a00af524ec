# SPDX-License-Identifier: Apache-2.0
"""Every step that a worker is sent ends in one report, whatever becomes of it."""

from __future__ import annotations

import dataclasses

import oslo_messaging as messaging
import pytest

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc.conductor import ConductorRpc, Outcome, StepReport
from nova_lite.rpc.order import Order
from nova_lite.worker.orders import Duplicate, Superseded
from nova_lite.worker.step_reports import StepReports

ORDER, LATER = Order(epoch=1, action=5), Order(epoch=1, action=6)
RESOURCE = ("volume", "v1")


@dataclasses.dataclass
class Listener(ConductorRpc):
    """A conductor that writes down what it is sent."""

    reports: list[StepReport] = dataclasses.field(default_factory=list)

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self.reports.append(report)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def report_of(listener: Listener, raised: Exception | None = None) -> StepReport:
    """The one report of a step in which that is raised."""
    with StepReports(listener, kind="volume", host="node1").reported(Context(), RESOURCE, ORDER, "make it") as result:
        result["size"] = 3
        if raised is not None:
            raise raised
    (report,) = listener.reports
    assert (report.order, report.resource_type, report.resource_id, report.host) == (ORDER, *RESOURCE, "node1")
    return report


def test_a_step_that_is_done_is_reported_with_its_result(listener: Listener) -> None:
    report = report_of(listener)
    assert (report.outcome, report.result, report.reason) == (Outcome.DONE, {"size": 3}, "")


def test_a_failure_is_reported_with_its_reason_and_no_result(listener: Listener) -> None:
    report = report_of(listener, errors.VolumeFailed(host="node1", action="make it", reason="no space"))
    assert (report.outcome, report.result, report.may_pass) == (Outcome.FAILED, {}, False)
    assert report.reason == "host node1: could not make it: no space"


@pytest.mark.parametrize("error", [errors.Unavailable(reason="restarting"), messaging.MessagingTimeout()])
def test_a_failure_that_may_pass_is_reported_so(listener: Listener, error: Exception) -> None:
    assert report_of(listener, error).may_pass


def test_an_error_of_the_worker_itself_keeps_its_text_in_the_log(listener: Listener) -> None:
    report = report_of(listener, RuntimeError("secret"))
    assert (report.outcome, report.may_pass) == (Outcome.FAILED, False)
    assert report.reason == "host node1: could not make it: it failed inside the volume worker; the operator's log has the details"


def test_a_full_disk_is_named(listener: Listener) -> None:
    assert report_of(listener, OSError(28, "No space left on device", "/a")).reason == "host node1: could not make it: No space left on device: /a"


def test_a_step_that_a_later_one_overtook_is_stale(listener: Listener) -> None:
    report = report_of(listener, Superseded(resource_id="v1", order=ORDER, newest=LATER))
    assert (report.outcome, report.known) == (Outcome.STALE, LATER)


def test_a_step_that_was_done_before_is_reported_done_and_raised(listener: Listener) -> None:
    with pytest.raises(Duplicate):
        report_of(listener, Duplicate(id="v1", fence=ORDER, known=ORDER))
    assert [(report.outcome, report.result) for report in listener.reports] == [(Outcome.DONE, {"size": 3})]
