# SPDX-License-Identifier: Apache-2.0
"""Reports to a conductor how each step ended that a worker was sent: once, whatever becomes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging as messaging
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc.conductor import ConductorRpc, Outcome, StepReport
from nova_lite.rpc.order import Order
from nova_lite.worker.orders import Duplicate, Superseded

LOG = logging.getLogger(__name__)


class StepReports:
    """The reports of one worker, `kind` (network, volume), on `host`."""

    def __init__(self, conductor: ConductorRpc, *, kind: str, host: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._conductor, self._kind, self._host, self._clock = conductor, kind, host, clock

    @contextlib.contextmanager
    def reported(self, ctxt: Context, resource: tuple[str, str], order: Order, action: str) -> Iterator[dict[str, Any]]:
        """Report how what is inside ends; a failure is raised no further, as nobody waits for it here.

        `resource`: its type and id. What is put into the dict that this yields becomes the report's `result`.

        :raises Duplicate: that is raised inside: it was done before, and is reported so, since the first report may be what was lost.
        """
        result: dict[str, Any] = {}  # plain JSON types
        report = StepReport(order=order, resource_type=resource[0], resource_id=resource[1], host=self._host, outcome=Outcome.DONE)
        subject, began = " ".join(resource), self._clock()
        try:
            yield result
        except Superseded as stale:
            LOG.info("%s: could not %s: %s", subject, action, stale.text)
            report = dataclasses.replace(report, outcome=Outcome.STALE, known=stale.newest)
        except Duplicate:
            self._conductor.report_step(ctxt, report=dataclasses.replace(report, result=result))
            raise
        except Exception as error:  # noqa: BLE001 - the frame: whatever happens, the conductor gets a report
            report = self._failed(report, error, subject, action)
        else:
            LOG.info("%s: %s done in %.2f s", subject, action, self._clock() - began)
            report = dataclasses.replace(report, result=result)
        self._conductor.report_step(ctxt, report=report)

    def _failed(self, report: StepReport, error: Exception, subject: str, action: str) -> StepReport:
        failure = log_failure(error, kind=self._kind, host=self._host, subject=subject, action=action)
        return dataclasses.replace(report, outcome=Outcome.FAILED, reason=failure.reason, may_pass=failure.may_pass)


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a step failed, for users, and whether the same may pass."""

    reason: str
    may_pass: bool


def log_failure(error: Exception, *, kind: str, host: str, subject: str, action: str) -> Failure:
    """What a report says of the error, which is logged: in full where it is none of ours."""
    may_pass = isinstance(error, errors.Unavailable | messaging.MessagingException)
    if isinstance(error, errors.NovaLiteError):
        LOG.warning("%s: could not %s: %s", subject, action, error.text)
        return Failure(error.text, may_pass)
    if isinstance(error, messaging.MessagingException):  # what it lacks it fetches from a conductor
        LOG.warning("%s: could not %s: no conductor answers: %s", subject, action, error)
        return Failure(f"host {host}: could not {action}: no conductor answers", may_pass)
    LOG.error("%s: could not %s", subject, action, exc_info=error)
    if isinstance(error, OSError):  # a full or broken disk, of which the user and the operator must know
        return Failure(f"host {host}: could not {action}: {error.strerror}: {error.filename}", may_pass)
    return Failure(f"host {host}: could not {action}: it failed inside the {kind} worker; the operator's log has the details", may_pass)
