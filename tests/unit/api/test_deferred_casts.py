# SPDX-License-Identifier: Apache-2.0
"""Casts of requests are queued in their order while the broker is away, and their callers do not wait."""

from __future__ import annotations

import threading

import oslo_messaging as messaging

from nova_lite.api.wsgi.deferred_casts import DeferredCasts


class Broker:
    """Takes messages while it is up; counts the attempts."""

    def __init__(self) -> None:
        self.is_up = True
        self.delivered: list[int] = []
        self.attempts = 0
        self.changed = threading.Condition()

    def deliver(self, number: int) -> None:
        with self.changed:
            self.attempts += 1
            self.changed.notify_all()
            if not self.is_up:
                raise messaging.MessageDeliveryFailure("down")
            self.delivered.append(number)


def cast(casts: DeferredCasts, broker: Broker, number: int) -> None:
    casts.send(lambda: broker.deliver(number), request_id=f"req-{number}")


def test_a_cast_is_sent_at_once_while_the_broker_is_up() -> None:
    casts, broker = DeferredCasts(), Broker()
    cast(casts, broker, 1)
    assert broker.delivered == [1]


def test_casts_are_queued_in_order_and_only_the_first_caller_meets_the_broker_that_is_down() -> None:
    casts, broker = DeferredCasts(retry_interval_s=0.01), Broker()
    broker.is_up = False
    for number in (1, 2, 3):
        cast(casts, broker, number)
    with broker.changed:
        assert broker.changed.wait_for(lambda: broker.attempts >= 3, timeout=20)
        assert broker.delivered == []
        broker.is_up = True
        assert broker.changed.wait_for(lambda: broker.delivered == [1, 2, 3], timeout=20)
    done = threading.Event()
    casts.send(done.set, request_id="req-4")
    assert done.wait(20)


def test_a_cast_that_fails_otherwise_delays_no_other() -> None:
    casts, broker = DeferredCasts(retry_interval_s=0.01), Broker()
    casts.send(lambda: [][0], request_id="req-0")
    broker.is_up = False
    cast(casts, broker, 1)
    casts.send(lambda: [][0], request_id="req-2")
    cast(casts, broker, 3)
    with broker.changed:
        broker.is_up = True
        assert broker.changed.wait_for(lambda: broker.delivered == [1, 3], timeout=20)


def test_a_broker_that_hangs_delays_one_request_for_the_limit_and_the_next_ones_not_at_all() -> None:
    casts, broker, released = DeferredCasts(limit_s=0.2), Broker(), threading.Event()

    def hang() -> None:
        assert released.wait(20)
        broker.deliver(1)

    casts.send(hang, request_id="req-1")
    cast(casts, broker, 2)
    cast(casts, broker, 3)
    assert broker.delivered == []
    released.set()
    with broker.changed:
        assert broker.changed.wait_for(lambda: broker.delivered == [1, 2, 3], timeout=20)


def test_with_a_limit_a_cast_has_been_sent_when_the_request_goes_on() -> None:
    casts, broker = DeferredCasts(limit_s=20), Broker()
    for number in range(3):
        cast(casts, broker, number)
        assert broker.delivered[-1] == number
