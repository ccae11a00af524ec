# SPDX-License-Identifier: Apache-2.0
"""The workflow engine: a list of steps, journaled, resumable by any conductor, undone when a step fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.journal import Journal, LeaseLost
from nova_lite.conductor.engine.services import Services
from nova_lite.context import Context
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
MAX_ATTEMPTS = 99
Saved = dict[str, Any]  # JSON values that steps hand on to later steps and to a conductor that resumes


@dataclasses.dataclass
class Run:
    """One action on its way: what steps read. `saved` is what finished steps have returned, merged."""

    ctxt: Context
    server_id: str
    action_id: int
    inputs: Mapping[str, Any]
    saved: Saved
    services: Services
    attempt: int = 1
    scratch: dict[str, Any] = dataclasses.field(default_factory=dict)  # spares work; gone after a crash

    @property
    def fence(self) -> int:
        """Orders this attempt among all that is asked of workers about the server; grows with every attempt."""
        return fence_of(self.action_id, self.attempt)


def fence_of(action_id: int, attempt: int) -> int:
    """The fence of an action's attempt; `MAX_ATTEMPTS` stands for any attempt of it."""
    return action_id * (MAX_ATTEMPTS + 1) + min(attempt, MAX_ATTEMPTS)


@dataclasses.dataclass(frozen=True)
class Step:
    """`do(run)` acts and returns what to save; `undo(run)` takes it back. Both may run twice with the effect of once.

    `record(session, run)` writes the step's rows in the transaction that journals it; `run.saved` has the result.
    `after(run)` tells others once that is committed: best effort, a reconciler makes up for what is lost.
    `pivot`: once it is done, the workflow only goes forward.
    """

    do: Callable[[Run], Saved | None]
    undo: Callable[[Run], None] | None = None
    record: Callable[[Session, Run], None] | None = None
    after: Callable[[Run], None] | None = None
    pivot: bool = False

    @property
    def name(self) -> str:
        return self.do.__name__


def _never(run: Run, error: errors.NovaLiteError) -> bool:
    """Where the server is, is where it stays: no other host can do it."""
    return False


@dataclasses.dataclass(frozen=True)
class Workflow:
    """`steps` in order. After an undo, `again(run, error)` says whether to start over; it may write to `run.saved`.

    `failed(session, run, error)` writes, in the transaction that ends the action, what the user is to see.
    """

    name: str
    steps: tuple[Step, ...]
    failed: Callable[[Session, Run, errors.NovaLiteError], None]
    again: Callable[[Run, errors.NovaLiteError], bool] = _never

    def done(self, last: str | None) -> int:
        """How many steps are done when `last` was the last of them."""
        return 0 if last is None else 1 + next(n for n, step in enumerate(self.steps) if step.name == last)

    def next_step(self, last: str | None) -> str | None:
        """The step after `last`; None: there is none."""
        position = self.done(last)
        return self.steps[position].name if position < len(self.steps) else None


class TryLater(Exception):  # noqa: N818 - it is not an error: the action stays open and is taken up again
    """The workflow cannot go on now; its lease runs out and a reconciler takes it up again. Steps may raise it."""


def carry_out(workflow: Workflow, run: Run, journal: Journal) -> bool:
    """Go on from where the journal stands to an end. True: done; False: undone, or taken over by somebody else.

    A failed step is undone with all before it, then `again` decides. After a crash at any point any conductor
    may call this again.

    :raises TryLater: a step failed that cannot be undone, or an undo failed.
    """
    try:
        while True:
            error = journal.error or _forward(workflow, run, journal)
            if error is None:
                return True
            _backward(workflow, run, journal)
            if not workflow.again(run, error):
                _end(workflow, run, journal, error)
                return False
            journal.start_over(run)
    except LeaseLost:
        LOG.info("server %s: %s goes on elsewhere, or a later action has ended it", run.server_id, workflow.name)
        return False


def _forward(workflow: Workflow, run: Run, journal: Journal) -> errors.NovaLiteError | None:
    """Do the steps that are left; returns the error of the one that failed."""
    position = workflow.done(journal.step)
    steps = workflow.steps
    if position < len(steps):
        journal.begin(steps[position].name, run)
    for number, step in enumerate(steps[position:], start=position + 1):
        fail(f"{workflow.name}.{step.name}.before")
        error = _do(workflow, step, run)
        if error is not None:
            if any(earlier.pivot for earlier in steps[:number]):
                journal.note_failure(step.name, run, error)
                raise TryLater(error.text)
            journal.begin_undo(step.name, run, error)
            return error
        fail(f"{workflow.name}.{step.name}.after")
        journal.finish(step.name, run, record=step.record, following=steps[number].name if number < len(steps) else None)
        fail(f"{workflow.name}.{step.name}.journaled")
        if step.after is not None:
            _tell(step.after, run)
    return None


def _do(workflow: Workflow, step: Step, run: Run) -> errors.NovaLiteError | None:
    try:
        run.saved.update(step.do(run) or {})
    except errors.NovaLiteError as error:
        return error
    except TryLater:
        raise
    except Exception as error:  # noqa: BLE001 - one of the three places: what was done must be undone whatever happens
        LOG.exception("server %s: step %s of %s broke", run.server_id, step.name, workflow.name)
        return errors.WorkerError(reason=f"{step.name} broke unexpectedly ({type(error).__name__}); see the log")
    return None


def _tell(after: Callable[[Run], None], run: Run) -> None:
    try:
        after(run)
    except Exception:  # noqa: BLE001 - what is told is repeated by a reconciler; the workflow is not to suffer
        LOG.warning("server %s: %s could not be told now", run.server_id, after.__name__, exc_info=True)


def _backward(workflow: Workflow, run: Run, journal: Journal) -> None:
    """Undo the step that failed and all before it, latest first."""
    reached = min(workflow.done(journal.step) + 1, len(workflow.steps))
    for step in reversed(workflow.steps[:reached]):
        if step.undo is None:
            continue
        fail(f"{workflow.name}.{step.name}.undo")
        try:
            step.undo(run)
        except errors.NovaLiteError as error:
            raise TryLater(f"{step.name} could not be undone: {error.text}") from error


def _end(workflow: Workflow, run: Run, journal: Journal, error: errors.NovaLiteError) -> None:
    def record(session: Session, ended: Run) -> None:
        workflow.failed(session, ended, error)

    fail(f"{workflow.name}.failed.before")
    journal.close_failed(run, error, record=record)
