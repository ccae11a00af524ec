# SPDX-License-Identifier: Apache-2.0
"""A nova-network that hangs: its host's boots and deletes wait for it in no thread, and another host's boot goes through."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.system.daemons import Cloud, running
from tests.support.wait import wait_until
from tools.lib.daemons import environment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
NUMBER = 20
# So few threads that hung calls would hold all of them; the daemon that hangs is never known as down.
OPTIONS = {"DEFAULT": {"service_down_time": 3600}, "conductor": {"workers": 2}, "quota": {"instances": 200, "cores": 200}}
OTHER = "other"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running(tmp_path / "hung", options=OPTIONS) as started:
        yield started


@pytest.fixture
def second_host(cloud: Cloud) -> Iterator[None]:
    """Another host with workers of its own, which alone gets new servers."""
    conf = cloud.state_dir / "other.conf"
    conf.write_text(cloud.nova_conf.read_text().replace("host = fake\n", f"host = {OTHER}\n").replace(
        f"state_path = {cloud.state_dir}/state", f"state_path = {cloud.state_dir}/{OTHER}").replace("fake_hosts = 3", "fake_hosts = 1"))
    workers = {name: cloud.programs.process(f"{name}-{OTHER}", cloud.state_dir / "log") for name in ("nova-compute", "nova-network")}
    for name, process in workers.items():
        process.start([cloud.programs.path(name), "--config-file", str(conf)], env=environment())
    try:
        yield
    finally:
        for process in workers.values():
            process.end(by=signal.SIGTERM)


def place_on_second_host_only(cloud: Cloud) -> None:
    def services() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = cloud.call("GET", "/v2.1/os-services?binary=nova-compute")["services"]
        return found

    wait_until(lambda: any(row["host"].startswith(OTHER) and row["state"] == "up" for row in services()), "the second host")
    for row in services():
        if not row["host"].startswith(OTHER):
            cloud.call("PUT", "/v2.1/os-services/disable", {"host": row["host"], "binary": "nova-compute"})


def test_a_boot_goes_through_beside_forty_actions_that_wait(cloud: Cloud, request: pytest.FixtureRequest) -> None:
    wanted = cloud.prepare()
    old = [cloud.boot(wanted, f"old-{number}") for number in range(NUMBER)]
    wait_until(lambda: all(cloud.is_active(server_id) for server_id in old), "the first servers")
    hung = cloud.pids("nova-network")
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    try:
        for server_id in old:
            cloud.call("DELETE", f"/v2.1/servers/{server_id}", expect=204)
        new = [cloud.boot(wanted, f"new-{number}") for number in range(NUMBER)]
        wait_until(lambda: all((cloud.server(server_id) or {})["OS-EXT-STS:task_state"] == "spawning" for server_id in new),
                   "all boots to have a host, and to wait for its nova-network")
        request.getfixturevalue("second_host")
        place_on_second_host_only(cloud)
        beside = cloud.boot(wanted, "beside")
        wait_until(lambda: cloud.is_active(beside), "the boot on the second host")
        assert not any(cloud.is_active(server_id) for server_id in new)
        assert all(cloud.server(server_id) is not None for server_id in old)
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: all(cloud.is_active(server_id) for server_id in new), "the boots that waited")
    wait_until(lambda: all(cloud.server(server_id) is None for server_id in old), "the deletes that waited")
