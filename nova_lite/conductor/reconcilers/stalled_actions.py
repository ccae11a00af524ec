# SPDX-License-Identifier: Apache-2.0
"""Finds open actions that nobody works on: a cast or a report was lost, a conductor or a worker has ended."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import oslo_messaging as messaging
import sqlalchemy as sa
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.engine import Engine
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import COMPUTE, HostStep, HostUndo, Step, UnknownStep, WhenDown
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.context import system_context
from nova_lite.db import clock
from nova_lite.db.base import Time
from nova_lite.db.compute.actions import OPEN, UNDOING, Action

LOG = logging.getLogger(__name__)
# A daemon's binary, and its name on the message bus.
Worker = tuple[str, str]
_LONG_AGO = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows keep UTC without a zone
# A cast takes milliseconds; younger actions are left to it.
GRACE_S = 3.0
# Actions that one look starts; the next look goes on with the next.
BATCH = 200
# Rows that are read at once.
PAGE = 1000
# A host that answered that it has all is not called again for so long.
_CALM_S = 10.0
# No action rests longer.
_AHEAD_S = 60.0


@dataclasses.dataclass(frozen=True)
class _Awaiting:
    """Of an action that awaits a worker's report, what a look needs; not its state, which is large."""

    id: int
    name: str
    state: str
    start_time: datetime.datetime
    awaiting_step: str
    awaiting_host: str


def _moment(name: str) -> sa.BindParameter[datetime.datetime]:
    return sa.bindparam(name, type_=Time)


def _moments(now: datetime.datetime) -> dict[str, datetime.datetime]:
    """Parameters of the statements below."""
    return {"now": now, "grace_ago": now - datetime.timedelta(seconds=GRACE_S), "far_ahead": now + datetime.timedelta(seconds=_AHEAD_S)}


def _outside(moment: Any, since: str) -> sa.ColumnElement[bool]:  # a column
    """Whether the moment is before `since`, or further ahead than any that is written: the clock was set back since."""
    return sa.or_(moment <= _moment(since), moment > _moment("far_ahead"))


# Built once: building a statement costs several times what running it does, and these run every two seconds.
_IS_OLD = _outside(Action.updated_at, "grace_ago")
_IS_AWAKE = sa.or_(Action.wake_at.is_(None), _outside(Action.wake_at, "now"))
_FREE = sa.select(Action.id).where(
    Action.state.in_(OPEN), Action.awaiting_step.is_(None), Action.id > sa.bindparam("after"), _IS_AWAKE,
    sa.or_(sa.and_(Action.lease_until.is_(None), _IS_OLD),
           Action.lease_until < _moment("now"), Action.lease_until > _moment("beyond_leases")),
).order_by(Action.id).limit(sa.bindparam("limit"))
_AWAITING_ANY = sa.select(*(getattr(Action, field.name) for field in dataclasses.fields(_Awaiting))).where(
    Action.state.in_(OPEN), Action.awaiting_step.is_not(None), Action.id > sa.bindparam("after"), _IS_OLD,
).order_by(Action.id).limit(sa.bindparam("limit"))
_AWAITING = _AWAITING_ANY.where(_IS_AWAKE)
_AWAITING_OF_STARTED = _AWAITING_ANY.where(sa.or_(_IS_AWAKE, Action.awaiting_host.in_(sa.bindparam("started", expanding=True))))


class StalledActions:
    """A look starts a bounded number of actions, and looks at those that await one of the hosts which are this conductor's.

    Leases and orders make it harmless beside other conductors' looks.
    """

    def __init__(self, services: Services, engine: Engine, host_calls: HostCalls | None = None) -> None:
        self._services, self._engine, self._host_calls = services, engine, host_calls or HostCalls()
        self._confirmed: dict[int, datetime.datetime] = {}
        self._lost: set[int] = set()  # what has been logged
        self._started_up_to = 0
        self._lock = threading.Lock()
        self._workers_started: set[Worker] = set()

    def worker_started(self, binary: str, agent: str) -> None:
        """The worker has just begun: what it had in hand is gone. The next look calls it, whatever it said before."""
        with self._lock:
            self._workers_started.add((binary, agent))

    def look(self) -> None:
        """Start what is free, end what is too late, and send again what hosts do not have."""
        with self._lock:
            started, self._workers_started = frozenset(self._workers_started), set()
        with self._services.database.reader() as session:
            now = clock.read(session)
            free = self._free(session, now) if self._host_calls.owns(__name__) else ()
            agents = {agent for _, agent in started}
            awaiting = [action for page in _awaiting(session, now, agents) for action in page]
        self._confirmed = {action.id: at for action in awaiting
                           if action.awaiting_host not in agents and (at := self._confirmed.get(action.id)) is not None}
        self._lost.intersection_update(action.id for action in awaiting)
        for action_id in free:
            LOG.info("action %s is taken up again", action_id)
            self._services.conductor.run(system_context(), action_id=action_id)
        by_worker: dict[Worker, list[_Awaiting]] = collections.defaultdict(list)
        for action in awaiting:
            step = self._awaited(action)
            by_worker[step.binary if isinstance(step, HostStep) else COMPUTE, action.awaiting_host].append(action)
        self._host_calls.run({" on ".join(worker): functools.partial(self._look_at, worker, self._in_time(actions, now), now, is_up=worker in started)
                              for worker, actions in by_worker.items() if worker in started or self._host_calls.owns(worker[1])})

    def _free(self, session: Session, now: datetime.datetime) -> Sequence[int]:
        """The next actions that nobody works on, by id; after the last the first again, so that none waits for another."""
        lease = datetime.timedelta(seconds=float(self._services.conf.conductor.lease_s))
        free = session.connection().scalars(
            _FREE, {**_moments(now), "limit": BATCH, "after": self._started_up_to, "beyond_leases": now + 2 * lease}).all()
        self._started_up_to = free[-1] if len(free) == BATCH else 0
        return free

    def _in_time(self, awaiting: Iterable[_Awaiting], now: datetime.datetime) -> list[_Awaiting]:
        """Those that may go on while their host is at work on them; the others are ended."""
        return self._expire_late(awaiting, now, at_least_s=float(self._services.conf.conductor.long_action_timeout))

    def _is_late(self, action: _Awaiting, now: datetime.datetime, *, at_least_s: float = 0.0) -> bool:
        """Past its deadline, which ends it unless its host is at work on it."""
        return now - action.start_time > datetime.timedelta(seconds=max(self._engine.deadline_s(action.name), at_least_s))

    def _expire_late(self, actions: Iterable[_Awaiting], now: datetime.datetime, *, at_least_s: float = 0.0) -> list[_Awaiting]:
        """Those of the actions whose deadline has not passed."""
        in_time = []
        for action in actions:
            if self._is_late(action, now, at_least_s=at_least_s):
                self._engine.expire(action.id)
            else:
                in_time.append(action)
        return in_time

    def _look_at(self, worker: Worker, actions: list[_Awaiting], now: datetime.datetime, *, is_up: bool) -> None:
        """Query the worker once for the steps that it has, and send the others again. `is_up`: it has just reported."""
        binary, host = worker
        if not is_up and self._services.is_down(binary, host):
            for action in self._expire_late(actions, now):
                if self._fails_when_down(action):
                    self._engine.host_is_down(action.id)
            return
        if not is_up and self._services.is_outdated(binary, host):
            self._expire_late(actions, now)  # its upgraded successor is sent them when it starts
            return
        due = [action for action in actions if abs((now - self._confirmed.get(action.id, _LONG_AGO)).total_seconds()) > _CALM_S]
        orders = {action.id: order for action in due if (order := self._engine.order_of(action.id)) is not None}
        if not orders:
            return
        try:
            client = self._services.worker(binary, host)
            known = client.known_orders(system_context(), orders=tuple(orders.values()))
        except (errors.NovaLiteError, messaging.MessagingException) as error:
            LOG.info("%s on %s does not say which steps it has: %s", binary, host, error)
            silent = datetime.timedelta(seconds=3 * _CALM_S)
            self._expire_late((action for action in due if now - self._confirmed.get(action.id, _LONG_AGO) > silent), now)
            return
        at_work = {action_id for action_id, order in orders.items() if order in known}
        self._confirmed.update(dict.fromkeys(at_work, now))
        for action in self._expire_late((action for action in due if action.id in orders.keys() - at_work), now):
            can_be_sent = self._can_be_sent(action)
            if action.id not in self._lost:
                self._lost.add(action.id)
                what_then = "is sent again" if can_be_sent else "can be sent by nobody again: it ends by its deadline"
                LOG.info("action %s: its step %s is not with %s on %s, and %s", action.id, action.awaiting_step, binary, host, what_then)
            if can_be_sent:
                self._engine.resend(action.id)

    def _can_be_sent(self, action: _Awaiting) -> bool:
        """Whether the step's request can be made again from what is kept."""
        step = self._awaited(action)
        return action.state == UNDOING or not isinstance(step, HostStep) or step.send is not None

    def _fails_when_down(self, action: _Awaiting) -> bool:
        step = self._awaited(action)
        part = step.undo if step is not None and action.state == UNDOING else step
        return not isinstance(part, HostStep | HostUndo) or part.when_down is not WhenDown.WAIT

    def _awaited(self, action: _Awaiting) -> Step[Any] | None:
        """The step whose report is awaited; None: this release does not know it."""
        workflow = self._engine.workflows.get(action.name)
        try:
            return None if workflow is None else workflow.step(action.awaiting_step)
        except UnknownStep:
            return None


def _awaiting(session: Session, now: datetime.datetime, started: Collection[str]) -> Iterator[list[_Awaiting]]:
    """All that await a report since a while, in pages by id: many that take long leave no younger one out.

    What rests is left out, unless a worker of its host has `started`.
    """
    after = 0
    while True:
        rows = session.connection().execute(
            _AWAITING_OF_STARTED if started else _AWAITING,
            {**_moments(now), "limit": PAGE, "after": after, **({"started": list(started)} if started else {})}).all()
        yield [_Awaiting(row.id, row.name, row.state, row.start_time, row.awaiting_step, str(row.awaiting_host)) for row in rows]
        if len(rows) < PAGE:
            return
        after = rows[-1].id
