# SPDX-License-Identifier: Apache-2.0
"""openstacksdk, on which the openstack client, Ansible and others stand."""

from __future__ import annotations

import openstack.exceptions
import pytest

from tests.system.clients.conftest import Cloud


def test_create_server_waits_until_it_is_active(cloud: Cloud) -> None:
    with cloud.alice.sdk() as sdk:
        server = sdk.create_server("sdk-one", image="img", flavor="small", network="net", meta={"a": "b"}, wait=True, timeout=60)
        assert (server.status, server.vm_state, server.metadata) == ("ACTIVE", "active", {"a": "b"})
        assert server.addresses["net"][0]["addr"].startswith("10.77.0.")
        assert server.addresses["net"][0]["OS-EXT-IPS-MAC:mac_addr"].startswith("fa:16:3e:")
        assert sdk.get_server("sdk-one").id == server.id
        assert sdk.delete_server(server.id, wait=True, timeout=60)
        assert sdk.get_server("sdk-one") is None


def test_the_compute_proxy_acts_and_waits(cloud: Cloud) -> None:
    with cloud.alice.sdk() as sdk:
        server = sdk.create_server("sdk-two", image="img", flavor="small", network="net", wait=True, timeout=60)
        for act, status in ((sdk.compute.stop_server, "SHUTOFF"), (sdk.compute.start_server, "ACTIVE"),
                            (sdk.compute.pause_server, "PAUSED"), (sdk.compute.unpause_server, "ACTIVE"),
                            (sdk.compute.suspend_server, "SUSPENDED"), (sdk.compute.resume_server, "ACTIVE")):
            act(server)
            sdk.compute.wait_for_server(server, status=status, interval=0.1, wait=60)
        sdk.compute.reboot_server(server, "HARD")
        sdk.compute.wait_for_server(server, status="ACTIVE", interval=0.1, wait=60)
        sdk.delete_server(server.id, wait=True, timeout=60)


def test_a_boot_that_finds_no_room_raises_with_the_fault_kept(cloud: Cloud) -> None:
    with cloud.admin.sdk() as admin, cloud.alice.sdk() as sdk:
        admin.compute.create_flavor(name="sdk-vast", ram=9_000, vcpus=1, disk=999_999)
        with pytest.raises(openstack.exceptions.SDKException):
            sdk.create_server("sdk-three", image="img", flavor="sdk-vast", network="net", wait=True, timeout=60)
        server = sdk.get_server("sdk-three")
        assert server.status == "ERROR"
        assert "not enough disk" in server.fault["message"]
        sdk.delete_server(server.id, wait=True, timeout=60)
        admin.delete_flavor("sdk-vast")


def test_everything_is_found_page_by_page(cloud: Cloud) -> None:
    with cloud.bob.sdk() as sdk:
        made = {sdk.network.create_security_group(name=f"sdk-{number}").id for number in range(5)}
        pages = {group.id for group in sdk.network.security_groups(limit=2)}
        assert made <= pages
        for group_id in made:
            sdk.network.delete_security_group(group_id)
        assert not made & {group.id for group in sdk.network.security_groups()}
