# SPDX-License-Identifier: Apache-2.0
"""A scheduler that is restarted again and again under load: no create fails, and none waits long for an answer that was lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.system.daemons import Cloud, running
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
RESTARTS = 5
# Creates that each client has done before the next restart, so that each falls into load.
BETWEEN = 3
CLIENTS = 4
QUOTA = {"quota": {"instances": 1000, "cores": 1000, "ram": 10**7}}
# A create waits no longer than this and the time in which there is no scheduler, which is what the machine makes it.
SLOWEST_S = 10


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("restarts"), options=QUOTA) as started:
        yield started


class Load:
    """Clients that create servers and delete them, one after the other, until they are stopped."""

    def __init__(self, cloud: Cloud, wanted: dict[str, Any]) -> None:
        self.took_s: list[float] = []
        self.failed: list[object] = []
        self._cloud, self._wanted = cloud, wanted
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _work(self, client: int) -> None:
        while not self._stopping.is_set():
            try:
                began = time.monotonic()
                server_id = self._cloud.boot(self._wanted, f"client-{client}")
                wait_until(lambda server_id=server_id: self._cloud.is_active(server_id), f"{server_id} to be active")  # type: ignore[misc]
                self.took_s.append(time.monotonic() - began)
                self._cloud.call("DELETE", f"/v2.1/servers/{server_id}", expect=204)
            except AssertionError as failure:
                self.failed.append(failure)

    def wait_for_more(self) -> None:
        """Until each client has done some more, on average."""
        enough = len(self.took_s) + CLIENTS * BETWEEN
        wait_until(lambda: len(self.took_s) >= enough, "creates under load", details=lambda: str(self.failed))

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def restart(cloud: Cloud) -> float:
    """As an operator does; for how long there was no scheduler, in seconds."""
    scheduler = cloud.processes["nova-scheduler"]

    def starts() -> int:
        return scheduler.log.read_text().count("nova-scheduler is up")

    before, began = starts(), time.monotonic()
    scheduler.end(deadline_s=14)
    cloud.start_daemon("nova-scheduler")
    wait_until(lambda: starts() > before, "the scheduler", details=scheduler.tail)
    return time.monotonic() - began


@pytest.mark.timed
def test_no_create_fails_or_waits_long_while_a_scheduler_restarts(cloud: Cloud) -> None:
    load = Load(cloud, cloud.prepare())
    away_s = []
    try:
        for _ in range(RESTARTS):
            load.wait_for_more()
            away_s.append(restart(cloud))
        load.wait_for_more()
    finally:
        load.stop()
    assert load.failed == []
    assert max(load.took_s) < SLOWEST_S + max(away_s), (away_s, sorted(load.took_s)[-20:])
