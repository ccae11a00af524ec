# SPDX-License-Identifier: Apache-2.0
"""Shares, turns and the bound on waiting, without a network; and what a refused client gets."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from nova_lite.runtime.http.admission import Admission, Refusal, Ticket
from nova_lite.runtime.http.head import Head
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.policy import ByMethod, uncounted
from tests.support import http_wires
from tests.support.wait import wait_until


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def admission(clock: Clock | None = None, *, size: int = 1, max_wait_s: float = 1.0, **options: Any) -> Admission:
    return Admission({"reads": 1, "writes": size}, max_wait_s=max_wait_s, clock=clock or Clock(), **options)


def ticket(tenant: str = "a", share: str = "writes") -> Ticket:
    return Ticket(share, tenant, None)


def learn(door: Admission, clock: Clock, *, service_s: float) -> None:
    """Let the admission see that writes take so long."""
    for _ in range(200):
        one = ticket()
        door.enter(one)
        clock.now += service_s
        door.leave(one)


def busy(clock: Clock, *, service_s: float) -> tuple[Admission, Ticket]:
    """An admission that has learnt that requests take `service_s`, with one inside."""
    door = admission(clock)
    learn(door, clock, service_s=service_s)
    inside = ticket()
    door.enter(inside)
    return door, inside


def test_a_full_share_leaves_the_other_one_open() -> None:
    door = admission()
    writes, read = [ticket(), ticket()], ticket(share="reads")
    assert [door.enter(one) for one in (*writes, read)] == [None, None, None]
    assert [one.is_inside for one in (*writes, read)] == [True, False, True]


def test_tenants_take_turns() -> None:
    door = admission()
    inside = ticket("first")
    waiting = [ticket("a"), ticket("a"), ticket("a"), ticket("b"), ticket("b")]
    for one in (inside, *waiting):
        door.enter(one)
    order = []
    while entered := door.leave(inside):
        (inside,) = entered
        order.append(inside.tenant)
    assert order == ["a", "b", "a", "b", "a"]


def test_a_request_that_would_wait_too_long_is_refused_at_once() -> None:
    door, _ = busy(Clock(), service_s=0.2)
    refusals = [door.enter(ticket()) for _ in range(8)]
    assert refusals[:4] == [None] * 4
    assert refusals[-1] == Refusal(503, 2, "Too many requests are waiting; try again shortly.")


def test_another_tenant_still_finds_a_place_in_the_line() -> None:
    door, _ = busy(Clock(), service_s=0.2)
    for _ in range(8):
        door.enter(ticket("greedy"))
    assert door.enter(ticket("modest")) is None
    refusal = door.enter(ticket("greedy"))
    assert refusal is not None
    assert refusal.status == 429


def test_a_tenant_has_no_more_than_its_part_of_a_share() -> None:
    door = admission(size=4, most_of_tenant={"writes": 2})
    tickets = [ticket("a") for _ in range(3)]
    for one in tickets:
        door.enter(one)
    other = ticket("b")
    door.enter(other)
    assert [one.is_inside for one in (*tickets, other)] == [True, True, False, True]
    assert door.leave(other) == []
    assert door.leave(tickets[0]) == [tickets[2]]


def test_a_tenant_waits_as_long_as_its_part_of_a_share_makes_it() -> None:
    clock = Clock()
    door = admission(clock, size=8, most_of_tenant={"writes": 2}, max_wait_s=1.0)
    learn(door, clock, service_s=0.2)
    refusals = [door.enter(ticket("greedy")) for _ in range(16)]
    assert [refusal is None for refusal in refusals] == [True] * 12 + [False] * 4  # two inside, and ten of which two begin each 0.2 s
    assert door.enter(ticket("modest")) is None


def test_a_place_is_given_back_once() -> None:
    door = admission()
    one, second, third = ticket(), ticket(), ticket()
    for each in (one, second, third):
        door.enter(each)
    assert door.leave(one) == [second]
    assert door.leave(one) == []


class Gate:
    """An application whose POSTs answer when they are let."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.begun: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.begun.append(environ["PATH_INFO"])
        if environ["REQUEST_METHOD"] == "POST":
            if environ["PATH_INFO"] == "/waits":
                environ["nova.leave_share"]()
            assert self.opened.wait(20)
        start_response("200 OK", [])
        return [b"done."]


def post(path: str = "/x") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.timed
def test_reads_are_answered_and_surplus_writes_refused_at_once_while_writes_hang() -> None:
    gate = Gate()
    with http_wires.serving(gate, threads=2, limits=Limits(max_wait_s=0.05)) as port, contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        wires = [stack.enter_context(http_wires.connect(port, post())) for _ in range(20)]
        wait_until(lambda: bool(gate.begun), "a write to begin")
        began = time.monotonic()
        assert http_wires.get(port).endswith(b"done.")
        refused = http_wires.receive_until(wires[-1], b"}}")
        assert time.monotonic() - began < 2  # alone: 3 ms; on a loaded machine the test itself waits for a core
        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 1\r\n" in refused
        gate.opened.set()
        http_wires.receive_until(wires[0], b"done.")
        for wire in wires[1:-1]:
            http_wires.receive_until(wire, (b"done.", b"}}"))  # so that none waits any more, and the next is not refused
        wires[-1].sendall(post())  # the connection of a refused request goes on
        http_wires.receive_until(wires[-1], b"done.")


def test_a_request_is_refused_that_has_waited_too_long_for_one_that_does_not_end() -> None:
    gate = Gate()
    with http_wires.serving(gate, threads=2, limits=Limits(max_wait_s=60, late_s=0.1)) as port, contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        stack.enter_context(http_wires.connect(port, post("/first")))
        wait_until(lambda: gate.begun == ["/first"], "the first to begin")
        waiting = stack.enter_context(http_wires.connect(port, post("/second")))
        assert b" 503 " in http_wires.receive_until(waiting, b"}}")
        gate.opened.set()
        waiting.sendall(post("/third"))
        http_wires.receive_until(waiting, b"done.")
    assert gate.begun == ["/first", "/third"]


class Counting(ByMethod):
    """Counts the writes that have come, and how they ended: whether they succeeded."""

    def __init__(self) -> None:
        self.came = 0
        self.ended: list[bool] = []

    def admitted(self, head: Head) -> Callable[[bool], None]:
        if head.method != "POST":
            return uncounted
        self.came += 1
        return self.ended.append


def test_a_refused_request_does_not_count_as_admitted() -> None:
    gate, policy = Gate(), Counting()
    with http_wires.serving(gate, threads=2, limits=Limits(max_wait_s=0), policy=policy) as port, contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        wires = [stack.enter_context(http_wires.connect(port, post())) for _ in range(9)]
        wait_until(lambda: (policy.came, policy.ended) == (9, [False] * 4), "one to begin and four to wait")
        answered = select.poll()
        for wire in wires:
            answered.register(wire, select.POLLIN)
        ready = {number for number, _ in answered.poll(20_000)}
        refused = [http_wires.receive_until(wire, b"}}") for wire in wires if wire.fileno() in ready]
        gate.opened.set()
        wait_until(lambda: policy.ended == [False] * 4 + [True] * 5, "the others to be answered")
    assert all(b" 503 " in one for one in refused)


def test_a_request_that_is_refused_late_counts_no_more() -> None:
    """By the front, or by the thread that it gets then."""
    gate, policy = Gate(), Counting()
    limits = Limits(max_wait_s=60, late_s=0)
    with http_wires.serving(gate, threads=2, limits=limits, policy=policy) as port, contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        stack.enter_context(http_wires.connect(port, post("/first")))
        wait_until(lambda: gate.begun == ["/first"], "the first to begin")
        late = stack.enter_context(http_wires.connect(port, post("/late")))
        assert b" 503 " in http_wires.receive_until(late, b"}}")
        wait_until(lambda: (policy.came, policy.ended) == (2, [False]), "the late one to be over")
        behind = stack.enter_context(http_wires.connect(port, post("/behind")))
        wait_until(lambda: policy.came == 3, "another to wait")
        gate.opened.set()
        assert b" 503 " in http_wires.receive_until(behind, b"}}")
        wait_until(lambda: sorted(policy.ended) == [False, False, True], "all to be over")
    assert gate.begun == ["/first"]


def test_a_request_that_fails_counts_no_more() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/broken":
            raise RuntimeError("broken")
        start_response({"/conflict": "409 Conflict", "/done": "202 Accepted"}[environ["PATH_INFO"]], [])
        return [b"."]

    policy = Counting()
    with http_wires.serving(app, policy=policy) as port:
        for count, path in enumerate(("/broken", "/conflict", "/done"), start=1):
            with http_wires.connect(port, post(path)):
                wait_until(lambda count=count: len(policy.ended) == count, path)  # type: ignore[misc]
    assert (policy.came, policy.ended) == (3, [False, False, True])


class ByProject(ByMethod):
    """Tenants are the first part of the path."""

    def tenant(self, head: Head, address: str) -> str:
        return head.path.split("/")[1]


def test_the_writes_of_one_tenant_leave_threads_to_those_of_others() -> None:
    gate = Gate()
    with http_wires.serving(gate, threads=12, limits=Limits(writes_of_tenant=2), policy=ByProject()) as port, contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        wires = [stack.enter_context(http_wires.connect(port, post(f"/greedy/{number}"))) for number in range(6)]
        wait_until(lambda: len(gate.begun) == 2, "two to begin")
        wires.append(stack.enter_context(http_wires.connect(port, post("/modest/1"))))
        wait_until(lambda: "/modest/1" in gate.begun, "another tenant's to begin")
        assert len(gate.begun) == 3
        gate.opened.set()
        for wire in wires:
            http_wires.receive_until(wire, b"done.")


def test_one_tenant_alone_never_has_all_places() -> None:
    """However few there are: its own others wait, and one of another tenant begins."""
    gate = Gate()
    limits = Limits(writes=4, writes_of_tenant=4)
    with http_wires.serving(gate, threads=8, limits=limits, policy=ByProject()) as port, contextlib.ExitStack() as stack:
        stack.callback(gate.opened.set)
        for number in range(6):
            stack.enter_context(http_wires.connect(port, post(f"/greedy/{number}")))
        wait_until(lambda: len(gate.begun) == 3, "three to begin")
        stack.enter_context(http_wires.connect(port, post("/modest/1")))
        wait_until(lambda: "/modest/1" in gate.begun, "another tenant's to begin")
        assert len(gate.begun) == 4


def test_a_request_whose_client_has_gone_is_not_begun() -> None:
    gate, policy = Gate(), Counting()
    with (http_wires.serving(gate, threads=2, limits=Limits(max_wait_s=60), policy=policy) as port,
          http_wires.connect(port, post("/first")) as first):
        wait_until(lambda: gate.begun == ["/first"], "the first to begin")
        gone = http_wires.connect(port, post("/gone"))
        with http_wires.connect(port, post("/last")) as last:
            gone.close()
            http_wires.get(port, "/look")
            gate.opened.set()
            http_wires.receive_until(last, b"done.")
            http_wires.receive_until(first, b"done.")
        wait_until(lambda: sorted(policy.ended) == [False, True, True], "all to be over")
    assert "/gone" not in gate.begun


def test_a_request_that_only_waits_gives_its_place_to_others() -> None:
    gate = Gate()
    with http_wires.serving(gate, threads=2) as port, http_wires.connect(port, post("/waits")) as waiting:
        wait_until(lambda: gate.begun == ["/waits"], "the first to begin")
        with http_wires.connect(port, post("/x")):
            wait_until(lambda: gate.begun == ["/waits", "/x"], "the second to begin")
            gate.opened.set()
        http_wires.receive_until(waiting, b"done.")
