# SPDX-License-Identifier: Apache-2.0
"""The wheel and the source distribution: complete, and enough on their own in an empty virtualenv."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

import nova_lite
from tests.support.paths import ROOT
from tests.support.private_libvirt import missing
from tests.support.system.own_host import own_host
from tests.support.wait import wait_until
from tools.lib.services import free_port

VERSION = nova_lite.__version__
NOT_PACKAGED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*", "build", "dist")
DAEMONS = ("nova-api", "nova-conductor", "nova-scheduler", "nova-compute", "nova-network", "nova-volume", "nova-novncproxy",
           "nova-serialproxy")


def run(*command: str | Path, timeout_s: float = 240, cwd: Path = Path("/"), status: int = 0) -> str:
    """The output of a program that sees nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NOVA_LITE", "OS_"))}
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout_s, check=False,
                             env=environment, cwd=cwd, stdin=subprocess.DEVNULL)
    assert process.returncode == status, f"{command}: {process.returncode}\n{process.stdout}\n{process.stderr}"
    return process.stdout


@dataclasses.dataclass(frozen=True)
class Checkout:
    """A copy of the tree, in which building leaves no trace in the tree itself, and what was built of it."""

    tree: Path
    wheel: Path
    sdist: Path

    def files(self, *folders: str) -> set[str]:
        """The files below these folders, relative to the tree; those that a link to a folder shows are among them."""
        return {os.path.relpath(os.path.join(directory, name), self.tree)
                for folder in folders for directory, _, names in os.walk(self.tree / folder, followlinks=True) for name in names}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Build both as `make package` does: the wheel is made of the source distribution, which is thereby complete."""
    directory = tmp_path_factory.mktemp("package")
    tree = Path(shutil.copytree(ROOT, directory / "tree", symlinks=True, ignore=NOT_PACKAGED))
    run(sys.executable, "-m", "build", "--outdir", directory / "dist", tree)
    # The build wrote it after the copy was made.
    shutil.rmtree(tree / "nova_lite.egg-info")
    return Checkout(tree, directory / f"dist/nova_lite-{VERSION}-py3-none-any.whl", directory / f"dist/nova_lite-{VERSION}.tar.gz")


@pytest.fixture(scope="module")
def bin_directory(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an empty virtualenv into which the wheel has been installed."""
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    assert "include-system-site-packages = false" in (venv / "pyvenv.cfg").read_text()
    install(venv, str(checkout.wheel))
    return venv / "bin"


def install(venv: Path, requirement: str) -> None:
    """Install with what it depends on; pip is not in the virtualenv itself."""
    run(sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "-q", "--no-input", "--no-compile", requirement)


def test_the_wheel_has_each_file_of_the_package_and_nothing_else(checkout: Checkout) -> None:
    metadata = f"nova_lite-{VERSION}.dist-info/"
    with zipfile.ZipFile(checkout.wheel) as wheel:
        files = {name for name in wheel.namelist() if not name.startswith(metadata)}
        assert files == checkout.files("nova_lite")
        assert {"nova_lite/etc/api-paste.ini", "nova_lite/etc/nova.conf", "nova_lite/py.typed",
                "nova_lite/db/migrations/script.py.mako"} <= files
        assert wheel.read(f"{metadata}licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert wheel.read("nova_lite/etc/api-paste.ini") == (ROOT / "etc/api-paste.ini").read_bytes()


def test_the_source_distribution_has_all_that_builds_tests_and_explains_the_project(checkout: Checkout) -> None:
    with tarfile.open(checkout.sdist) as sdist:
        files = {member.name.partition("/")[2] for member in sdist if member.isfile()}
        assert sdist.getmember(f"nova_lite-{VERSION}/tools/quickstart").mode & 0o100, "not executable"
    assert checkout.files("nova_lite", "etc", "docs", "tests", "tools") <= files
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "SECURITY.md", "pyproject.toml",
            "setup.cfg", "tox.ini"} <= files


@pytest.mark.parametrize("program", ["nova-lite", *DAEMONS])
def test_each_installed_program_names_its_version(bin_directory: Path, program: str) -> None:
    assert run(bin_directory / program, "--version").strip() == f"nova_lite {VERSION}"


def test_oslos_generator_writes_a_sample_of_every_option(bin_directory: Path) -> None:
    sample = run(bin_directory / "oslo-config-generator", "--namespace", "nova_lite")
    assert "[conductor]" in sample
    assert "#paste_config = api-paste.ini" in sample
    assert "<None>" not in sample.partition("state_path")[0]


def test_oslos_generator_writes_a_sample_of_every_policy_rule(bin_directory: Path) -> None:
    sample = run(bin_directory / "oslopolicy-sample-generator", "--namespace", "nova_lite")
    assert '#"context_is_admin": "role:admin"' in sample
    assert "# POST  /servers/{server_id}/action (pause)\n" in sample
    assert '#"os_compute_api:os-pause-server:pause"' in sample


def test_an_installed_cloud_boots_a_simulated_server(bin_directory: Path, tmp_path: Path) -> None:
    port = str(free_port())
    run(bin_directory / "nova-lite", "up", "--fake", "--background", "--state", tmp_path, "--port", port)
    try:
        server = boot(f"http://127.0.0.1:{port}", state=tmp_path)
        assert server["status"] == "ACTIVE", server.get("fault")
    finally:
        output = run(bin_directory / "nova-lite", "down", "--state", tmp_path)
    assert "stopped the cloud" in output


@pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")
def test_an_installed_cloud_with_the_extra_libvirt_boots_a_guest(bin_directory: Path, checkout: Checkout, tmp_path: Path) -> None:
    install(bin_directory.parent, f"{checkout.wheel}[libvirt]")
    state = tmp_path / "state"
    with own_host(tmp_path) as (host, address):
        run(*host.command([f"{bin_directory}/nova-lite", "up", "--background", "--state", str(state), "--listen", address]))
        try:
            server = boot(f"http://{address}:8774", state=state)
            assert server["status"] == "ACTIVE", server.get("fault")
            assert server["OS-EXT-SRV-ATTR:instance_name"] in host.run(["virsh", "list", "--name"]).stdout
        finally:
            output = run(*host.command([f"{bin_directory}/nova-lite", "down", "--purge", "--state", str(state)]))
        assert "destroyed 1 guest;" in output


def boot(url: str, *, state: Path) -> dict[str, Any]:
    """Log in, create a server of an empty disk, and wait until it is built; the server."""
    auth = json.loads((state / "clouds.yaml").read_text())["clouds"]["nova-lite"]["auth"]
    domain = {"name": "Default"}
    user = {"name": auth["username"], "password": auth["password"], "domain": domain}
    _, headers = request(f"{url}/identity/v3/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": auth["project_name"], "domain": domain}}}})
    token = headers["X-Subject-Token"]
    image, _ = request(f"{url}/image/v2/images", {"name": "blank", "disk_format": "raw", "container_format": "bare"}, token=token)
    request(f"{url}/image/v2/images/{image['id']}/file", bytes(1 << 20), token=token, method="PUT")
    server, _ = request(f"{url}/v2.1/servers", token=token, body={"server": {
        "name": "first", "imageRef": image["id"], "flavorRef": "42", "networks": "none"}})

    def built() -> dict[str, Any] | None:
        shown: dict[str, Any] = request(f"{url}/v2.1/servers/{server['server']['id']}", token=token)[0]["server"]
        return shown if shown["status"] != "BUILD" else None

    return wait_until(built, "the server to be built")


def request(url: str, body: Any = None, *, token: str = "", method: str | None = None) -> tuple[Any, dict[str, str]]:
    """The decoded body and the headers of a response."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    headers = {"Content-Type": kind, "X-Auth-Token": token, "OpenStack-API-Version": "compute 2.96"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as response:
        text = response.read()
        return (json.loads(text) if text else None), dict(response.headers)
