# SPDX-License-Identifier: Apache-2.0
"""Casts of requests wait for a broker that is away, in their order, and their callers do not."""

from __future__ import annotations

import threading

import oslo_messaging as messaging

from nova_lite.api.wsgi.deferred_casts import DeferredCasts


class Broker:
    """Takes what it is given while it is there; `went`: somebody found it away."""

    def __init__(self) -> None:
        self.is_there = True
        self.taken: list[int] = []
        self.tries = 0
        self.changed = threading.Condition()

    def take(self, number: int) -> None:
        with self.changed:
            self.tries += 1
            self.changed.notify_all()
            if not self.is_there:
                raise messaging.MessageDeliveryFailure("away")
            self.taken.append(number)


def cast(calls: DeferredCasts, broker: Broker, number: int) -> None:
    calls.send(lambda: broker.take(number), request_id=f"req-{number}")


def test_a_cast_is_sent_at_once_while_the_broker_is_there() -> None:
    calls, broker = DeferredCasts(), Broker()
    cast(calls, broker, 1)
    assert broker.taken == [1]


def test_casts_wait_in_order_and_only_the_first_caller_finds_the_broker_away() -> None:
    calls, broker = DeferredCasts(pause_s=0.01), Broker()
    broker.is_there = False
    for number in (1, 2, 3):
        cast(calls, broker, number)
    with broker.changed:
        assert broker.changed.wait_for(lambda: broker.tries >= 3, timeout=20)
        assert broker.taken == []
        broker.is_there = True
        assert broker.changed.wait_for(lambda: broker.taken == [1, 2, 3], timeout=20)
    done = threading.Event()
    calls.send(done.set, request_id="req-4")
    assert done.wait(20)


def test_a_cast_that_fails_otherwise_holds_up_nobody() -> None:
    calls, broker = DeferredCasts(pause_s=0.01), Broker()
    calls.send(lambda: [][0], request_id="req-0")
    broker.is_there = False
    cast(calls, broker, 1)
    calls.send(lambda: [][0], request_id="req-2")
    cast(calls, broker, 3)
    with broker.changed:
        broker.is_there = True
        assert broker.changed.wait_for(lambda: broker.taken == [1, 3], timeout=20)
