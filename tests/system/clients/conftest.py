# SPDX-License-Identifier: Apache-2.0
"""The cloud that the stock clients drive, in both shapes, with simulated guests; its users are made by the client."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.system.all_in_one import AllInOne
from tests.support.system.daemons import WITH_VOLUMES, running
from tests.support.system.stock import User, Warm


@dataclasses.dataclass(frozen=True)
class Cloud:
    """`alice` and `amy` are members of the project `art`, `bob` of `brass`; `admin` of `admin`.

    `art` has the network `net`; all may use the image `img` (the bytes of `file`) and the flavor `small`.
    """

    admin: User
    alice: User
    amy: User
    bob: User
    url: str
    host: str
    file: Path

    @contextlib.contextmanager
    def server(self) -> Iterator[str]:
        """The name of an active server of alice's, made and deleted by the SDK: tests of other commands need it quickly."""
        with self.alice.sdk() as sdk:
            server = sdk.create_server(f"vm-{uuid.uuid4().hex[:6]}", image="img", flavor="small", network="net")
            sdk.compute.wait_for_server(server, interval=0.1, wait=60)
            yield server.name
        with self.admin.sdk() as sdk:
            sdk.compute.delete_server(server.id, ignore_missing=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The libraries' warnings are theirs to mind."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="package")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="package", params=["one process", "daemons over RabbitMQ and PostgreSQL"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("clients")
    directory.chmod(0o755)  # PostgreSQL and RabbitMQ run as users of their own
    if request.param == "one process":
        process = AllInOne(directory)
        process.start()
        try:
            yield _furnish(warm, directory, process.state / "clouds.yaml", process.url)
        finally:
            process.stop()
        return
    with running(directory / "cloud", hosts=1, daemons=WITH_VOLUMES) as daemons:
        yield _furnish(warm, directory, daemons.clouds_yaml, daemons.url)


def _furnish(warm: Warm, directory: Path, clouds_yaml: Path, url: str) -> Cloud:
    """Projects, users, and what one server needs."""
    mine = _clouds_yaml(directory, clouds_yaml)
    users = {name: User(warm, mine, name) for name in ("admin", "alice", "amy", "bob")}
    admin, alice = users["admin"], users["alice"]
    for project, name in (("art", "alice"), ("art", "amy"), ("brass", "bob")):
        admin.openstack("project", "create", "--or-show", project)
        admin.openstack("user", "create", "--project", project, "--password", f"{name} secret", name)
        admin.openstack("role", "add", "--project", project, "--user", name, "member")
    file = directory / "img.raw"
    file.write_bytes(os.urandom(1 << 20))
    admin.openstack("flavor", "create", "--ram", "64", "--disk", "1", "--vcpus", "1", "small")
    admin.openstack("image", "create", "--file", str(file), "--disk-format", "raw", "--public", "img")
    alice.openstack("network", "create", "net")
    alice.openstack("subnet", "create", "--network", "net", "--subnet-range", "10.77.0.0/24", "net-subnet")
    host = admin.json("compute", "service", "list", "--service", "nova-compute")[0]["Host"]
    return Cloud(**users, url=url, host=host, file=file)


def _clouds_yaml(directory: Path, clouds_yaml: Path) -> Path:
    """The operator's file, with its users beside him."""
    known = json.loads(clouds_yaml.read_text())["clouds"]["nova-lite"]
    clouds: dict[str, Any] = {"admin": known}
    for name, project in (("alice", "art"), ("amy", "art"), ("bob", "brass")):
        auth = {**known["auth"], "username": name, "password": f"{name} secret", "project_name": project}
        clouds[name] = {**known, "auth": auth}
    written = directory / "clouds.yaml"
    written.write_text(json.dumps({"clouds": clouds}))
    return written


@pytest.fixture
def vm(cloud: Cloud) -> Iterator[str]:
    """An active server of alice's."""
    with cloud.server() as name:
        yield name
