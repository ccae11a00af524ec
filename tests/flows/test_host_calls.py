# SPDX-License-Identifier: Apache-2.0
"""Reconcilers that call hosts: one that never answers delays nobody else, neither in this round nor in the next."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.conductor.reconcilers.stalled_actions import GRACE_S, StalledActions
from nova_lite.context import Context
from nova_lite.db.compute.actions import Action
from nova_lite.rpc.compute import OwnedGuests
from nova_lite.rpc.conductor import ServiceReport
from nova_lite.rpc.network import OwnedNetworks
from nova_lite.rpc.order import Order
from tests.support.flows import shelving
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.wait import wait_until

HUNG = ("hung-1", "hung-2")


class Hosts:
    """Workers of many hosts, some of which take a request and never answer."""

    def __init__(self, cloud: OneProcess, *names: str) -> None:
        self.calls: list[str] = []
        self.go_on = threading.Event()
        for name in names:
            for binary in ("nova-compute", "nova-network"):
                cloud.heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent=name))
        cloud.heartbeats.flush()
        self.services = dataclasses.replace(cloud.services, compute=self._worker(OwnedGuests(server_ids=())), network=self._worker(OwnedNetworks(network_ids=(), server_ids=())))

    def _worker(self, owned: Any) -> Any:
        def answer(agent: str, value: Any) -> Any:
            self.calls.append(agent)
            if agent in HUNG:
                self.go_on.wait(60)
            return value

        return lambda agent: SimpleNamespace(
            owned_unless=lambda ctxt, *, digest: answer(agent, owned), known_orders=lambda ctxt, *, orders: answer(agent, orders))


@pytest.fixture
def hosts(cloud: OneProcess) -> Iterator[Hosts]:
    made = Hosts(cloud, *HUNG, *(f"host-{number}" for number in range(20)))
    yield made
    made.go_on.set()


def answering(hosts: Hosts) -> list[str]:
    return sorted(agent for agent in hosts.calls if agent.startswith("host-"))


def test_orphans_are_looked_for_on_all_hosts_though_two_never_answer(hosts: Hosts) -> None:
    calls = HostCalls(round_s=0.5)
    for rounds in (1, 2):
        orphans.remove(hosts.services, calls)
        wait_until(lambda rounds=rounds: answering(hosts) == sorted(2 * rounds * [f"host-{number}" for number in range(20)]))  # type: ignore[misc]
    assert sorted(agent for agent in hosts.calls if agent in HUNG) == list(HUNG), "none is called again before it has answered"
    hosts.go_on.set()


def test_a_hung_host_is_called_again_once_it_has_answered(hosts: Hosts) -> None:
    calls = HostCalls(round_s=0.1)
    orphans.remove(hosts.services, calls)
    hosts.go_on.set()
    wait_until(lambda: hosts.calls.count("hung-1") == 2, "its second worker to be called too")
    calls = HostCalls()
    orphans.remove(hosts.services, calls)
    assert hosts.calls.count("hung-1") == 4


def test_no_more_hosts_are_called_at_once_than_the_bound() -> None:
    at_once, seen, lock, go_on = 0, [], threading.Lock(), threading.Event()

    def call() -> None:
        nonlocal at_once
        with lock:
            at_once += 1
            seen.append(at_once)
            if at_once == 4:
                go_on.set()
        assert go_on.wait(30)
        with lock:
            at_once -= 1

    HostCalls(at_once=4, round_s=30).run({f"host-{number}": call for number in range(12)})
    assert (len(seen), max(seen)) == (12, 4)


def test_no_thread_stays_when_all_calls_have_ended() -> None:
    """An audit makes its calls anew each time."""
    before = set(threading.enumerate())
    calls = HostCalls(at_once=4)
    for _ in range(2):
        done: list[str] = []
        calls.run({f"host-{number}": functools.partial(done.append, str(number)) for number in range(6)})
        assert len(done) == 6
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert set(threading.enumerate()) <= before


def test_a_call_that_breaks_ends_no_thread() -> None:
    done: list[str] = []

    def broken() -> None:
        raise RuntimeError("broken by the test")

    calls = HostCalls(at_once=1)
    calls.run({"broken": broken, "other": lambda: done.append("other")})
    calls.run({"broken": lambda: done.append("broken")})
    assert done == ["other", "broken"]


def test_lost_requests_of_other_hosts_are_sent_again_while_a_host_never_answers(
    cloud: OneProcess, hosts: Hosts, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def awaiting(agent: str) -> int:
        action_id = cloud.cast_action(shelving.active(cloud), "pause")
        with cloud.database.writer() as session:
            session.get_one(Action, action_id).awaiting_host = agent
        return action_id

    hung, lost = awaiting("hung-1"), awaiting("host-1")
    sent: list[int] = []
    monkeypatch.setattr(cloud.engine, "resend", sent.append)
    workers = hosts.services.compute

    def compute(agent: str) -> Any:
        def known_orders(ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
            workers(agent).known_orders(ctxt, orders=orders)
            return ()

        return SimpleNamespace(known_orders=known_orders)

    cloud.advance(seconds=GRACE_S + 1)
    reconciler = StalledActions(dataclasses.replace(hosts.services, compute=compute), cloud.engine, HostCalls(round_s=0.5))
    for rounds in (1, 2):
        reconciler.look()
        assert sent == [lost] * rounds
        assert hung not in sent
