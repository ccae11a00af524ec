# SPDX-License-Identifier: Apache-2.0
"""A new user's first minutes, for real: quickstart, the stock client, doctor, quickstart again, down, nothing left.

The tests go through one cloud in the order in which they stand here.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.lib.services import free_port

QUICKSTART, DOWN = ROOT / "tools" / "quickstart", ROOT / "tools" / "down"
# A TCG guest on a machine that is shared; on a quiet one all of it takes 40 s.
FIRST_RUN_S = 560


@dataclasses.dataclass(frozen=True)
class Cloud:
    """One state directory, and what its first run printed."""

    state: Path
    port: int
    venv: Path
    printed: str
    machine_before: list[str]

    def run(self, tool: Path, *arguments: str, timeout_s: float = FIRST_RUN_S) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tool), "--state", str(self.state), "--venv", str(self.venv), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def nova_lite(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.venv / "bin" / "nova-lite"), *arguments, "--state", str(self.state)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def server(self) -> dict[str, str]:
        """The one server, by the stock client as the quickstart says to use it."""
        environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(self.state / "clouds.yaml"), "OS_CLOUD": "nova-lite"}
        done = subprocess.run([str(self.venv / "bin" / "openstack"), "server", "list", "-f", "json"], env=environment,
                              capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        (server,) = json.loads(done.stdout)
        return dict(server)

    @property
    def address(self) -> str:
        found = re.search(r"root@([0-9.]+)$", self.printed, re.MULTILINE)
        assert found, self.printed
        return found[1]


def machine_state(state: Path) -> list[str]:
    """What a cloud leaves on a machine if it forgets to remove it."""
    found = [f"device {name}" for _, name in socket.if_nameindex() if re.match(r"(br|gw|up|vx)-|tap", name)]
    namespaces = Path("/run/netns")
    found += [f"namespace {path.name}" for path in (namespaces.iterdir() if namespaces.exists() else ())
              if path.name.startswith("nova-")]  # fmt: skip
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True, timeout=20).stdout
    found += [line for line in tables.splitlines() if re.search(r" nova_[0-9a-f]{12}$", line)]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True, timeout=20).stdout
    found += [line for line in routes.splitlines() if " dev up-" in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
            mounts = (process / "mountinfo").read_text()
        except OSError:
            continue
        if str(state) in command and int(process.name) != os.getpid():
            found.append(f"process {command}")
        if f" {state}/" in mounts:
            found.append(f"mount seen by {command}")
    return sorted(found)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that runs the tests if tools/install made it, else a new one."""
    here = Path(sys.prefix)
    return here if (here / ".tools-install").exists() else tmp_path_factory.mktemp("quickstart") / "venv"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, venv: Path) -> Iterator[Cloud]:
    state = tmp_path_factory.mktemp("quickstart") / "state"
    made = Cloud(state=state, port=free_port(), venv=venv, printed="", machine_before=machine_state(state))
    try:
        done = made.run(QUICKSTART, "--port", str(made.port))
        assert done.returncode == 0, done.stdout + done.stderr
        yield dataclasses.replace(made, printed=done.stdout)
    finally:
        made.run(DOWN, "--purge", timeout_s=120)
        shutil.rmtree(state, ignore_errors=True)


def answers_ssh(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=5) as opened:
            return opened.recv(4) == b"SSH-"
    except OSError:
        return False


@pytest.mark.timeout(FIRST_RUN_S + 40)
def test_the_first_run_logs_in_to_a_server_that_knows_itself_from_the_metadata_service(cloud: Cloud) -> None:
    server = cloud.server()
    assert (server["Name"], server["Status"]) == ("quickstart", "ACTIVE")
    assert f"its metadata service says i-00000001, {server['ID']}" in cloud.printed


def test_the_first_run_says_how_long_each_step_took_and_how_to_go_on(cloud: Cloud) -> None:
    for step in ("packages", "libvirt", "cloud", "guest image", "image", "network", "server", "boot", "guest", "ssh", "all"):
        assert re.search(rf"^{step} +[0-9]+\.[0-9]$", cloud.printed, re.MULTILINE), step
    assert f"OS_CLIENT_CONFIG_FILE={cloud.state}/clouds.yaml OS_CLOUD=nova-lite" in cloud.printed


def test_the_guest_answers_ping_and_ssh_from_the_host(cloud: Cloud) -> None:
    assert subprocess.run(["ping", "-c1", "-W5", cloud.address], capture_output=True, timeout=20, check=False).returncode == 0
    assert answers_ssh(cloud.address)


def test_doctor_finds_no_problem_while_the_cloud_runs(cloud: Cloud) -> None:
    done = cloud.nova_lite("doctor", "-f", "json")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert [one for one in found.values() if one["result"] == "problem"] == []
    assert done.returncode == 0
    assert "nova-compute" in found["services"]["reason"]
    assert "belongs to this cloud" in found["port"]["reason"]


def test_a_second_run_changes_nothing(cloud: Cloud) -> None:
    before, pid = cloud.server(), (cloud.state / "nova-lite.pid").read_text()
    again = cloud.run(QUICKSTART)
    assert again.returncode == 0, again.stdout + again.stderr
    assert cloud.server() == before
    assert (cloud.state / "nova-lite.pid").read_text() == pid
    assert "made " not in again.stdout
    assert "uploaded" not in again.stdout
    assert "its metadata service says" in again.stdout


def test_the_cloud_is_not_started_twice(cloud: Cloud) -> None:
    second = cloud.nova_lite("up", "--background", "--port", str(cloud.port))
    assert second.returncode == 1
    assert "already running" in second.stderr


@pytest.mark.timeout(FIRST_RUN_S)
def test_after_down_the_guest_goes_on_and_the_next_run_finds_it(cloud: Cloud) -> None:
    before = cloud.server()
    down = cloud.run(DOWN)
    assert down.returncode == 0, down.stdout + down.stderr
    assert answers_ssh(cloud.address)
    again = cloud.run(QUICKSTART)
    assert again.returncode == 0, again.stdout + again.stderr
    assert cloud.server() == before


@pytest.mark.timed
@pytest.mark.timeout(FIRST_RUN_S)
def test_a_server_that_is_off_is_started_by_the_next_run(cloud: Cloud) -> None:
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(cloud.state / "clouds.yaml"), "OS_CLOUD": "nova-lite"}
    subprocess.run([str(cloud.venv / "bin" / "openstack"), "server", "stop", "quickstart"], env=environment, check=True,
                   capture_output=True, timeout=120)  # fmt: skip
    until = time.monotonic() + 120
    while cloud.server()["Status"] != "SHUTOFF":
        assert time.monotonic() < until
    again = cloud.run(QUICKSTART)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "started quickstart, which was off" in again.stdout


def test_purge_leaves_nothing(cloud: Cloud) -> None:
    done = cloud.run(DOWN, "--purge")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not cloud.state.exists()
    assert machine_state(cloud.state) == cloud.machine_before


def test_down_with_nothing_there_is_fine(tmp_path: Path, venv: Path) -> None:
    done = subprocess.run([sys.executable, str(DOWN), "--purge", "--state", str(tmp_path / "none"), "--venv", str(venv)],
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_purge_leaves_a_state_directory_that_is_a_mount_point_empty(tmp_path: Path) -> None:
    state, programs = tmp_path / "state", tmp_path / "venv" / "bin"
    (state / "quickstart").mkdir(parents=True)
    programs.mkdir(parents=True)
    (programs / "nova-lite").symlink_to(Path(sys.executable).with_name("nova-lite"))
    # in a mount namespace of its own, so that the mount goes with the process; the second finds the directory empty
    script = (f"mount --bind {state} {state} && {sys.executable} {DOWN} --purge --state {state} --venv {programs.parent}"
              f" && {programs}/nova-lite down --purge --state {state}")  # fmt: skip
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(state.iterdir()) == []


def test_quickstart_refuses_a_port_of_another_program_and_names_it(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = subprocess.run([sys.executable, str(QUICKSTART), "--state", str(tmp_path / "state"), "--port", str(port)],
                              capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert f"pid={os.getpid()}" in done.stderr
    assert "remedy: " in done.stderr
    assert not (tmp_path / "state").exists()


def test_quickstart_refuses_other_users_than_root() -> None:
    # the clone and pytest's directories may be closed to other users
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        copy.chmod(0o755)
        shutil.copytree(ROOT / "tools", copy / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3",
                               str(copy / "tools" / "quickstart"), "--state", str(copy / "state")],
                              capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "not root" in done.stderr
    assert "sudo tools/quickstart" in done.stderr


def test_quickstart_refuses_a_disk_that_is_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    # in a mount namespace of its own, so that the mount goes with the process
    script = f"mount -t tmpfs -o size=64m none {small} && exec {sys.executable} {QUICKSTART} --state {small}/state --port {free_port()}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "MB free" in done.stderr
    assert "--state DIR" in done.stderr


def test_help_needs_nothing() -> None:
    for tool in (QUICKSTART, DOWN):
        done = subprocess.run([sys.executable, str(tool), "--help"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0
        assert "--state" in done.stdout
