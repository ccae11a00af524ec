# SPDX-License-Identifier: Apache-2.0
"""Named locks keep apart what has one name, and are forgotten when free."""

from __future__ import annotations

from concurrent import futures

from nova_lite.network.locks import Locks


def test_one_name_is_held_by_one_thread_at_a_time() -> None:
    locks, counted = Locks(), {"value": 0}

    def count(_: int) -> None:
        with locks.hold("server"):
            seen = counted["value"]
            counted["value"] = seen + 1

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(2000)))

    assert counted["value"] == 2000
    assert not locks._held


def test_another_name_is_free_meanwhile() -> None:
    locks = Locks()

    with locks.hold("one"), futures.ThreadPoolExecutor(1) as pool:
        def take() -> str:
            with locks.hold("two"):
                return "taken"

        assert pool.submit(take).result(timeout=5) == "taken"
