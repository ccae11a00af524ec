# SPDX-License-Identifier: Apache-2.0
"""Who goes on with an action whose conductor is gone, and when."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from nova_lite.conductor.engine import journal
from nova_lite.conductor.engine.threads import Threads
from nova_lite.conductor.service import _is_dead
from tests.support.flows.one_process import OneProcess
from tests.support.wait import wait_until


def test_a_leased_action_is_nobody_elses(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    assert journal.take(cloud.database, action_id, owner="other", lease_s=10) is not None
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "building"
    cloud.expire_leases()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"


def test_the_leases_of_the_dead_are_freed(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    assert journal.take(cloud.database, action_id, owner="node:1:x", lease_s=30) is not None
    assert journal.owners(cloud.database) == {"node:1:x"}
    assert journal.free(cloud.database, ["node:1:x"]) == 1
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    assert journal.owners(cloud.database) == set()


@pytest.mark.parametrize("host", ["node", "node:with:colons"])
def test_only_a_process_of_this_host_that_is_gone_is_dead(host: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert _is_dead(f"{host}:{ended.pid}:ab", host)
    assert not _is_dead(f"{host}:{ended.pid}:ab", "another")
    assert not _is_dead(f"{host}:{os.getpid()}:ab", host)
    assert not _is_dead(f"{host}:1:ab", host)


def test_a_burst_of_builds_holds_nobody_up_and_all_are_carried_out(cloud: OneProcess) -> None:
    workers = cloud.conf.conductor.workers
    go_on, start = threading.Event(), cloud.driver.power.start

    def wait(guest: Any) -> None:
        assert go_on.wait(30)
        start(guest)

    cloud.driver.power.start = wait  # type: ignore[method-assign]
    threads = Threads(workers)
    cloud.use_threads(threads)
    begun = [cloud.create_server() for _ in range(workers + 5)]
    for _, action_id in [*begun, *begun]:  # each cast comes twice, and none waits for a build
        cloud.engine.start(action_id)
    go_on.set()
    wait_until(lambda: all(cloud.server(server_id).vm_state == "active" for server_id, _ in begun), "all servers to be active")
    threads.stop()
