# SPDX-License-Identifier: Apache-2.0
"""The separate daemons over a real RabbitMQ with PostgreSQL and MariaDB: boot, crash, overload, end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from tests.support.system.daemons import MIB, Cloud, running
from tests.support.system.forks import ForkedPrograms
from tests.support.wait import wait_until
from tools.lib.daemons import Programs, environment
from tools.lib.services import ServiceError
from tools.lib.services.service import write_private

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
HUGE = 10 * 1024**3


@pytest.fixture(scope="module", params=[("postgres", "eventlet"), ("mariadb", "threads")], ids=lambda pair: "-".join(pair))
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    database, concurrency = request.param
    directory: Path = tmp_path_factory.mktemp(f"daemons-{database}")
    programs = Programs() if concurrency == "eventlet" else ForkedPrograms()
    with running(directory, database=database, options={"DEFAULT": {"concurrency": concurrency}}, programs=programs) as started:
        yield started


@pytest.fixture(scope="module")
def wanted(cloud: Cloud) -> dict[str, object]:
    return cloud.prepare()


def test_servers_are_booted_and_deleted(cloud: Cloud, wanted: dict[str, object]) -> None:
    made = [cloud.boot(wanted, f"s{number}") for number in range(5)]
    wait_until(lambda: all(cloud.is_active(server_id) for server_id in made))
    shown = [cloud.server(server_id) for server_id in made]
    assert len({server["addresses"]["n"][0]["addr"] for server in shown if server}) == 5
    for server_id in made:
        cloud.call("DELETE", f"/v2.1/servers/{server_id}", expect=204)
    wait_until(lambda: all(cloud.server(server_id) is None for server_id in made))


def test_attaches_at_once_through_several_api_processes_take_turns(cloud: Cloud, wanted: dict[str, object]) -> None:
    server_id = cloud.boot(wanted, "nics")
    wait_until(lambda: cloud.is_active(server_id))
    path, body = f"/v2.1/servers/{server_id}/os-interface", {"interfaceAttachment": {}}
    with futures.ThreadPoolExecutor(6) as clients:
        attached = list(clients.map(lambda _: cloud.call("POST", path, body)["interfaceAttachment"], range(6)))
    shown = cloud.call("GET", path)["interfaceAttachments"]
    assert {nic["port_id"] for nic in attached} == {nic["port_id"] for nic in shown[1:]}
    assert {nic["port_state"] for nic in attached} == {"ACTIVE"}
    cloud.call("DELETE", f"/v2.1/servers/{server_id}", expect=204)
    wait_until(lambda: cloud.server(server_id) is None)


def test_a_build_goes_on_when_its_conductor_dies(cloud: Cloud, wanted: dict[str, object]) -> None:
    cloud.crash("nova-conductor")
    server_id = cloud.boot(wanted, "orphan")
    cloud.start_daemon("nova-conductor")
    wait_until(lambda: cloud.is_active(server_id))
    cloud.call("DELETE", f"/v2.1/servers/{server_id}", expect=204)
    wait_until(lambda: cloud.server(server_id) is None)


def test_a_killed_worker_of_the_api_is_replaced(cloud: Cloud) -> None:
    parent, *workers = cloud.pids("nova-api")
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: len(set(cloud.pids("nova-api")) - {parent, workers[0]}) == len(workers))
    assert cloud.is_answering()


@pytest.mark.parametrize("after_s", [None, 0.0, 0.1, 0.3, 1.0])
def test_workers_end_with_their_parent(cloud: Cloud, after_s: float | None) -> None:
    """Also one that the parent had just forked, whatever it was doing; None: all have long been serving."""
    parent, *workers = cloud.pids("nova-api")
    if after_s is not None:
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: len(set(cloud.pids("nova-api")) - {parent, workers[0]}) == len(workers))
        time.sleep(after_s)
        workers = cloud.pids("nova-api")[1:]
    cloud.processes["nova-api"].crash()
    wait_until(lambda: not any(_runs(pid) for pid in workers), seconds=20)
    cloud.start_daemon("nova-api")
    cloud.wait_until_up()


def test_a_second_worker_of_the_same_name_ends_and_serves_only_when_the_first_is_down(cloud: Cloud, wanted: dict[str, object]) -> None:
    for name in ("nova-network", "nova-compute"):
        last_line = rf"{name}: another {name} serves host fake: [^\n]*Give each host a \[DEFAULT\] host of its own[^\n]*"
        with pytest.raises(ServiceError, match=rf"(?s) failed \(1\): (.*\n)?{last_line}\Z"):
            cloud.programs.output(name, "--config-file", str(twin_conf(cloud)))
    boots_and_deletes(cloud, wanted)
    cloud.crash("nova-compute")
    twin = cloud.programs.process("twin", cloud.state_dir / "twin")
    with forced_down(cloud):
        twin.start([cloud.programs.path("nova-compute"), "--config-file", str(twin_conf(cloud))], env=environment())
        wait_until(lambda: "is up on host fake" in twin.log.read_text())
    cloud.wait_until_up()
    boots_and_deletes(cloud, wanted)
    twin.end()
    first = cloud.processes["nova-compute"].log
    starts = first.read_text().count("is up on host fake")
    with forced_down(cloud):
        cloud.start_daemon("nova-compute")
        wait_until(lambda: first.read_text().count("is up on host fake") > starts)
    cloud.wait_until_up()


def twin_conf(cloud: Cloud) -> Path:
    """The daemons' nova.conf with another state directory, as on another machine."""
    path = cloud.state_dir / "twin.conf"
    write_private(path, cloud.nova_conf.read_text().replace(f"state_path = {cloud.state_dir}/state", f"state_path = {cloud.state_dir}/twin"))
    return path


@contextlib.contextmanager
def forced_down(cloud: Cloud) -> Iterator[None]:
    """nova-compute, as by `openstack compute service set --down`: nobody need wait for service_down_time."""
    hosts = [row["host"] for row in cloud.call("GET", "/v2.1/os-services?binary=nova-compute")["services"]]
    for is_down in (True, False):
        for host in hosts:
            body = {"binary": "nova-compute", "host": host, "forced_down": is_down}
            cloud.call("PUT", "/v2.1/os-services/force-down", body, microversion="2.11")
        if is_down:
            yield


def boots_and_deletes(cloud: Cloud, wanted: dict[str, object]) -> None:
    made = [cloud.boot(wanted, f"s{number}") for number in range(4)]
    wait_until(lambda: all(cloud.is_active(server_id) for server_id in made))
    for server_id in made:
        cloud.call("DELETE", f"/v2.1/servers/{server_id}", expect=204)
    wait_until(lambda: all(cloud.server(server_id) is None for server_id in made))


@pytest.mark.timed
@pytest.mark.parametrize("name", ["nova-api", "nova-conductor", "nova-scheduler", "nova-network", "nova-compute"])
def test_a_daemon_ends_quickly_on_request_and_leaves_nothing(cloud: Cloud, name: str) -> None:
    pids = cloud.pids(name)
    idle = socket.create_connection(("127.0.0.1", cloud._port))  # a client that stays connected
    idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    idle.recv(1024)
    began = time.monotonic()
    cloud.processes[name].end(deadline_s=14)
    assert time.monotonic() - began < 12
    wait_until(lambda: not any(_runs(pid) for pid in pids), seconds=5)
    idle.close()
    cloud.start_daemon(name)
    cloud.wait_until_up()


@pytest.mark.parametrize(("path", "status"), [("/v2.1/servers", b"413"), ("/image/v2/images/x/file", b"401")])
def test_a_huge_body_that_nobody_wants_costs_no_memory(cloud: Cloud, path: str, status: bytes) -> None:
    before = max(_pss_mib(pid) for pid in cloud.pids("nova-api")[1:])
    method = "PUT" if path.endswith("/file") else "POST"
    with socket.create_connection(("127.0.0.1", cloud._port), timeout=30) as wire:  # below HTTP
        wire.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
                     f"Content-Length: {HUGE}\r\n\r\n".encode())
        sent = _send(wire, 600 * MIB)
        wire.settimeout(10)
        assert status in wire.recv(4096).split(b"\r\n")[0]
    assert sent < 600 * MIB, "the connection is to be closed"
    after = max(_pss_mib(pid) for pid in cloud.pids("nova-api")[1:])
    assert after - before < 40
    assert cloud.is_answering()


def test_a_large_body_that_is_refused_still_gets_its_answer(cloud: Cloud) -> None:
    status, answer = cloud.request("POST", "/v2.1/servers", {"server": {"name": "x" * 100 * MIB}}, token=cloud.token())
    assert status == 413
    assert "too large" in str(answer)


def _send(wire: socket.socket, size: int) -> int:
    """Send zeros until `size` or until the other side has had enough; how many."""
    piece, sent = bytes(MIB), 0
    try:
        while sent < size:
            wire.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _pss_mib(pid: int) -> float:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024
