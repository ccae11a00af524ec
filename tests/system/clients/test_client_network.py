# SPDX-License-Identifier: Apache-2.0
"""The openstack client: NICs, security groups and floating addresses of a running server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.wait import wait_until
from tests.system.clients.conftest import Cloud


@pytest.fixture
def vm(cloud: Cloud) -> Iterator[str]:
    with cloud.server() as name:
        yield name


def test_a_port_and_a_network_are_added_and_removed(cloud: Cloud, vm: str) -> None:
    alice = cloud.alice

    def count() -> int:
        return len(alice.json("port", "list", "--server", vm))

    port = alice.json("port", "create", "--network", "net", f"p-{vm}")
    alice.openstack("server", "add", "port", vm, port["id"])
    alice.openstack("server", "add", "network", vm, "net")
    assert count() == 3
    assert len(alice.json("server", "show", vm)["addresses"]["net"]) == 3
    alice.openstack("server", "remove", "port", vm, port["id"])
    wait_until(lambda: count() == 2, "the change to be seen")
    assert alice.json("port", "show", port["id"])["status"] == "DOWN"
    alice.openstack("port", "delete", port["id"])
    actions = {row["Action"] for row in alice.json("server", "event", "list", vm)}
    assert {"attach_interface", "detach_interface"} <= actions


def test_a_security_group_is_added_and_removed(cloud: Cloud, vm: str) -> None:
    alice = cloud.alice
    alice.openstack("security", "group", "create", f"g-{vm}")
    alice.openstack("server", "add", "security", "group", vm, f"g-{vm}")
    assert {group["name"] for group in alice.json("server", "show", vm)["security_groups"]} == {"default", f"g-{vm}"}
    alice.openstack("server", "remove", "security", "group", vm, f"g-{vm}")
    assert [group["name"] for group in alice.json("server", "show", vm)["security_groups"]] == ["default"]
    alice.openstack("security", "group", "delete", f"g-{vm}")


def test_a_floating_address_is_made_led_to_a_server_and_removed(cloud: Cloud, vm: str) -> None:
    alice, outside = cloud.alice, f"public-{vm}"
    cloud.admin.openstack("network", "create", "--external", outside)
    cloud.admin.openstack("subnet", "create", "--network", outside, "--subnet-range", "172.24.4.0/24", outside)
    alice.openstack("router", "create", f"r-{vm}")
    alice.openstack("router", "set", "--external-gateway", outside, f"r-{vm}")
    subnet = alice.json("network", "show", "net")["subnets"][0]
    alice.openstack("router", "add", "subnet", f"r-{vm}", subnet)
    made = alice.json("floating", "ip", "create", outside)
    address = made["floating_ip_address"]
    alice.openstack("server", "add", "floating", "ip", vm, address)
    assert address in alice.json("server", "show", vm)["addresses"]["net"]
    assert alice.json("floating", "ip", "show", address)["status"] == "ACTIVE"
    alice.openstack("server", "remove", "floating", "ip", vm, address)
    alice.openstack("floating", "ip", "delete", address)
    alice.openstack("router", "remove", "subnet", f"r-{vm}", subnet)
    alice.openstack("router", "delete", f"r-{vm}")
    cloud.admin.openstack("network", "delete", outside)
