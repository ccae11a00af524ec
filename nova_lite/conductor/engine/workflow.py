# SPDX-License-Identifier: Apache-2.0
"""Workflows as data: steps with declared keys, what each does and undoes, and the typed state that they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc import payload
from nova_lite.rpc.order import Order

if TYPE_CHECKING:
    from nova_lite.conductor.engine.services import Services


class State(Protocol):
    """What the engine knows of a workflow's state: the host that its events name."""

    @property
    def host(self) -> str | None: ...


S = TypeVar("S", bound=State)
# The daemons that do steps.
COMPUTE, NETWORK, VOLUME = "nova-compute", "nova-network", "nova-volume"
# An attempt's identifier on workers, as release 0.1 numbered them, and resizes still do.
_ATTEMPTS = 100


@dataclasses.dataclass(frozen=True)
class Run(Generic[S]):
    """One action on its way, as its steps see it. `state` is a frozen dataclass of the workflow, kept in the journal.

    `power_state`, `result`: what the worker reported with the step that has just ended.
    """

    ctxt: Context
    resource_id: str
    action_id: int
    state: S
    order: Order
    power_state: int | None = None
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def attempt(self) -> int:
        return self.order.attempt

    @property
    def attempt_id(self) -> int:
        """A number that names this attempt; grows with every attempt and every action."""
        return self.action_id * _ATTEMPTS + min(self.order.attempt, _ATTEMPTS - 1)

    def with_state(self, state: S) -> Run[S]:
        return dataclasses.replace(self, state=state)

    def with_report(self, power_state: int | None, result: Mapping[str, Any]) -> Run[S]:
        return dataclasses.replace(self, power_state=power_state, result=result)

    def with_epoch(self, epoch: int) -> Run[S]:
        return dataclasses.replace(self, order=dataclasses.replace(self.order, epoch=epoch))


class WhenDown(Enum):
    """What becomes of a step whose host is down."""

    WAIT = "wait"  # until the host is back, or the action's deadline
    FAIL = "fail"
    SKIP = "skip"  # a clean-up: what is left there goes when the host is back (reconcilers/orphans.py)


Act = Callable[["Services", Run[S]], None]
Record = Callable[[Session, Run[S]], "S | None"]
Host = Callable[[Run[S]], "str | None"]


@dataclasses.dataclass(frozen=True)
class HostUndo(Generic[S]):
    """An undo that a worker does: `send` casts it to the step's host, and its report says that it is done."""

    send: Act[S]
    record: Record[S] | None = None
    when_down: WhenDown = WhenDown.SKIP


@dataclasses.dataclass(frozen=True)
class Step(Generic[S]):
    """What all steps have. `key` names it for ever: in journals, events and failpoints.

    `record(session, run)` writes rows in the transaction that journals the step's end; it may return a state for
    `after` to see. `after(services, run)` notifies
    others once that is committed: best effort, a reconciler makes up for what is lost. `pivot`: once the step is
    done, the workflow only goes forward. Do and undo may run twice with the effect of once.
    """

    key: str
    record: Record[S] | None = dataclasses.field(default=None, kw_only=True)
    after: Act[S] | None = dataclasses.field(default=None, kw_only=True)
    undo: Act[S] | HostUndo[S] | None = dataclasses.field(default=None, kw_only=True)
    pivot: bool = dataclasses.field(default=False, kw_only=True)


@dataclasses.dataclass(frozen=True)
class ControlStep(Step[S]):
    """A step of the conductor itself: `do(services, run)` returns the new state. It ends at once where it is not `needed`."""

    do: Callable[[Services, Run[S]], S]
    needed: Callable[[Run[S]], bool] | None = dataclasses.field(default=None, kw_only=True)


@dataclasses.dataclass(frozen=True)
class RowStep(Step[S]):
    """A step that only writes rows: its `record`."""


@dataclasses.dataclass(frozen=True)
class HostStep(Step[S]):
    """A step of a worker: `send(services, run)` casts it, and the worker's report ends it. No thread waits meanwhile.

    `host(run)` names the worker; None: there is nothing to be done, and the step ends at once. `send` None: only the
    API can send it, once, since what it needs is not kept. `is_done(services, run)`: whether one that failed has been
    done all the same, by an earlier delivery. `take(services, run)` returns the state with what it needs of `run.result`.
    """

    host: Host[S]
    send: Act[S] | None
    binary: str = dataclasses.field(default=COMPUTE, kw_only=True)
    when_down: WhenDown = dataclasses.field(default=WhenDown.FAIL, kw_only=True)
    is_done: Callable[[Services, Run[S]], bool] | None = dataclasses.field(default=None, kw_only=True)
    take: Callable[[Services, Run[S]], S] | None = dataclasses.field(default=None, kw_only=True)


class Deadline(Enum):
    """How long an action of a workflow may take; each is an option of [conductor]."""

    QUICK = "action_timeout"
    BUILD = "build_timeout"
    LONG = "long_action_timeout"


def _never(services: Services, run: Run[S], error: errors.NovaLiteError) -> S | None:
    """There is no other way to do it."""
    return None


@dataclasses.dataclass(frozen=True)
class Workflow(Generic[S]):
    """`steps` in order. `state`: the class of the state; its fields begin as the action's inputs of the same names.

    `failed(session, run, error)` writes, in the transaction that ends the action, what the user is to see. After an
    undo, `again(services, run, error)` returns the state with which the next attempt begins; None: there is none.
    """

    name: str
    state: type[S]
    steps: tuple[Step[S], ...]
    failed: Callable[[Session, Run[S], errors.NovaLiteError], None]
    again: Callable[[Services, Run[S], errors.NovaLiteError], S | None] = _never
    deadline: Deadline = Deadline.LONG
    resource_type: str = "server"

    def position(self, key: str | None) -> int:
        """How many steps are done when `key` was the last of them.

        :raises UnknownStep: an earlier or later release's key.
        """
        if key is None:
            return 0
        for number, step in enumerate(self.steps, start=1):
            if step.key == key:
                return number
        raise UnknownStep(reason=f"this release does not know step {key!r} of {self.name}")

    def step(self, key: str) -> Step[S]:
        """:raises UnknownStep: there is none with this key."""
        return self.steps[self.position(key) - 1]

    def is_past_pivot(self, finished: int) -> bool:
        """Whether the workflow only goes forward once so many steps are done, or the next one has begun as the pivot."""
        return any(step.pivot for step in self.steps[: finished + 1])

    def load(self, inputs: Mapping[str, Any], saved: Mapping[str, Any]) -> S:
        """The state from an action's columns; fields that this release does not know are dropped."""
        state: S = payload.from_wire(self.state, {**inputs, **saved})
        return state

    def dump(self, state: S, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The state for the journal, less the inputs: these are kept beside it, and may be secret."""
        return {name: value for name, value in payload.to_wire(state).items() if name not in inputs or value != inputs[name]}


class UnknownStep(errors.WorkerError):
    """The journal names a step that this release does not have."""


class NotNow(Exception):  # it is not an error: the action rests, and goes on by itself
    """A step cannot be done now, and may be done soon; raised by steps. It is tried again until the action's deadline.

    `then` is called once it is journaled that the action rests: what it does may end the rest.
    """

    def __init__(self, text: str, then: Callable[[], None] | None = None) -> None:
        super().__init__(text)
        self.then = then
