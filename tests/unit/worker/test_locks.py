# SPDX-License-Identifier: Apache-2.0
"""Named locks keep apart what has one name, and are forgotten when free."""

from __future__ import annotations

from concurrent import futures

import pytest

from nova_lite.worker.locks import NamedLocks


def test_one_name_is_held_by_one_thread_at_a_time() -> None:
    locks, counted = NamedLocks(), {"value": 0}

    def count(_: int) -> None:
        with locks.hold("server"):
            seen = counted["value"]
            counted["value"] = seen + 1

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(2000)))

    assert counted["value"] == 2000
    assert not locks.is_held("server")
    assert not locks._locks


def test_another_name_is_free_meanwhile() -> None:
    locks = NamedLocks()

    with locks.hold("one"), futures.ThreadPoolExecutor(1) as pool:
        def take() -> str:
            with locks.hold("two"):
                return "taken"

        assert pool.submit(take).result(timeout=5) == "taken"


def test_its_holder_may_hold_it_again_and_it_is_held_until_the_last_lets_go() -> None:
    locks = NamedLocks()
    with locks.hold("server"):
        with locks.hold("server"):
            assert locks.is_held("server")
        assert locks.is_held("server")
    assert not locks.is_held("server")


def test_who_waits_may_give_up_when_its_work_is_not_wanted_any_more() -> None:
    locks = NamedLocks()

    def unwanted() -> None:
        raise LookupError

    def take() -> None:
        with locks.hold("server", check=unwanted):
            raise AssertionError("two hold it")

    with locks.hold("server"), futures.ThreadPoolExecutor(1) as pool, pytest.raises(LookupError):
        pool.submit(take).result(timeout=30)
    assert not locks.is_held("server")
