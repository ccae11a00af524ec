# SPDX-License-Identifier: Apache-2.0
"""The nova client (python-novaclient), which uses the compute API alone."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.system.stock import User
from tests.support.wait import wait_until
from tests.system.clients.conftest import Cloud


def cells(table: str) -> list[list[str]]:
    """The rows of a printed table, its head first."""
    return [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in table.splitlines() if line.startswith("|")]


def settle(user: User, server: str, status: str) -> None:
    """Wait until `nova show` says so and that the server does nothing."""
    wait_until(lambda: (state := dict(row[:2] for row in cells(user.nova("show", server))))["status"] == status
             and state["OS-EXT-STS:task_state"] == "-", f"server {server} to be {status}")


def test_a_server_lives_by_the_nova_client(cloud: Cloud) -> None:
    alice = cloud.alice
    image = alice.json("image", "show", "img")["id"]
    network = alice.json("network", "show", "net")["id"]
    booted = dict(row[:2] for row in cells(alice.nova(
        "boot", "--image", image, "--flavor", "small", "--nic", f"net-id={network}", "--meta", "a=b", "--poll", "nv-one")))
    assert booted["name"] == "nv-one"
    shown = dict(row[:2] for row in cells(alice.nova("show", "nv-one")))
    assert (shown["status"], shown["metadata"]) == ("ACTIVE", '{"a": "b"}')
    listed = next(row for row in cells(alice.nova("list")) if "nv-one" in row)
    assert listed[2] == "ACTIVE"
    assert re.fullmatch(r"net=10\.77\.0\.\d+", listed[5])
    assert "nv-one login:" in alice.nova("console-log", "nv-one")
    alice.nova("stop", "nv-one")
    settle(alice, "nv-one", "SHUTOFF")
    alice.nova("start", "nv-one")
    settle(alice, "nv-one", "ACTIVE")
    alice.nova("reboot", "--poll", "nv-one")
    alice.nova("reboot", "--hard", "--poll", "nv-one")
    settle(alice, "nv-one", "ACTIVE")
    actions = [row[0] for row in cells(alice.nova("instance-action-list", "nv-one"))[1:]]
    assert sorted(actions) == ["create", "reboot", "reboot", "start", "stop"]
    alice.nova("delete", "nv-one")
    wait_until(lambda: "nv-one" not in alice.nova("list"), "nv-one to be gone")


def test_keypairs_by_the_nova_client(cloud: Cloud, tmp_path: Path) -> None:
    public = tmp_path / "key.pub"
    cloud.alice.openstack("keypair", "create", "--private-key", str(tmp_path / "key"), "k-source")
    public.write_text(cloud.alice.openstack("keypair", "show", "--public-key", "k-source"))
    cloud.alice.nova("keypair-add", "--pub-key", str(public), "nv-key")
    row = next(row for row in cells(cloud.alice.nova("keypair-list")) if row[0] == "nv-key")
    assert re.fullmatch(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", row[2])
    assert row[2] in cloud.alice.nova("keypair-show", "nv-key")
    cloud.alice.nova("keypair-delete", "nv-key")
    cloud.alice.nova("keypair-delete", "k-source")
    assert "nv-key" not in cloud.alice.nova("keypair-list")


def test_flavors_by_the_nova_client(cloud: Cloud) -> None:
    cloud.admin.nova("flavor-create", "nv-flavor", "auto", "128", "2", "1")
    row = next(row for row in cells(cloud.alice.nova("flavor-list")) if row[1] == "nv-flavor")
    assert row[2:4] == ["128", "2"]
    cloud.admin.nova("flavor-key", "nv-flavor", "set", "hw:cpu_policy=shared")
    assert '"hw:cpu_policy": "shared"' in cloud.alice.nova("flavor-show", "nv-flavor")
    cloud.admin.nova("flavor-delete", "nv-flavor")
    assert "nv-flavor" not in cloud.alice.nova("flavor-list")


def test_services_by_the_nova_client(cloud: Cloud) -> None:
    rows = cells(cloud.admin.nova("service-list"))
    name, status, state = (rows[0].index(head) for head in ("Binary", "Status", "State"))
    assert {row[name] for row in rows[1:]} >= {"nova-conductor", "nova-scheduler", "nova-compute", "nova-network"}
    assert {(row[status], row[state]) for row in rows[1:]} == {("enabled", "up")}


def test_the_nova_client_works_as_a_program(cloud: Cloud) -> None:
    assert "small" in cloud.alice.program("nova", "flavor-list")
