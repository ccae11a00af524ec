# SPDX-License-Identifier: Apache-2.0
"""The openstack client: a server from its birth to its end, and what its commands say about it."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from tests.system.clients.conftest import Cloud


def test_a_server_is_created_with_everything_and_shown_as_requested(cloud: Cloud, tmp_path: Path) -> None:
    alice, user_data = cloud.alice, tmp_path / "user-data"
    user_data.write_text("#!/bin/sh\necho hello\n")
    alice.openstack("keypair", "create", "--private-key", str(tmp_path / "key"), "k-full")
    alice.openstack("server", "create", "--image", "img", "--flavor", "small", "--network", "net", "--key-name", "k-full",
                    "--user-data", str(user_data), "--config-drive", "True", "--property", "role=web", "--wait", "full")
    shown = alice.json("server", "show", "full")
    assert (shown["status"], shown["OS-EXT-STS:power_state"], shown["OS-EXT-STS:vm_state"]) == ("ACTIVE", 1, "active")
    assert (shown["key_name"], shown["config_drive"], shown["properties"]) == ("k-full", "True", {"role": "web"})
    assert shown["addresses"]["net"][0].startswith("10.77.0.")
    assert shown["security_groups"] == [{"name": "default"}]
    assert shown["image"].startswith("img (")
    assert (shown["flavor"]["name"], shown["flavor"]["ram"], shown["flavor"]["vcpus"]) == ("small", 64, 1)
    assert "fault" not in shown
    seen_by_admin = cloud.admin.json("server", "show", shown["id"])
    assert base64.b64decode(seen_by_admin["OS-EXT-SRV-ATTR:user_data"]) == user_data.read_bytes()
    assert seen_by_admin["OS-EXT-SRV-ATTR:host"] == cloud.host
    alice.openstack("server", "delete", "--wait", "full")
    alice.openstack("keypair", "delete", "k-full")


def test_the_list_shows_names_states_and_addresses(cloud: Cloud, vm: str) -> None:
    row = next(row for row in cloud.alice.json("server", "list") if row["Name"] == vm)
    address = row["Networks"]["net"][0]
    assert (row["Status"], row["Image"], row["Flavor"]) == ("ACTIVE", "img", "small")
    wide = next(row for row in cloud.alice.json("server", "list", "--long") if row["Name"] == vm)
    assert (wide["Task State"], wide["Power State"], wide["Networks"]) == (None, 1, {"net": [address]})
    assert wide["Availability Zone"] == "nova"
    assert re.search(rf"{vm}.*ACTIVE.*net={address}", cloud.alice.program("openstack", "server", "list"))


def test_the_console_log_is_the_guests(cloud: Cloud, vm: str) -> None:
    said = cloud.alice.openstack("console", "log", "show", vm)
    assert f"{vm} login:" in said
    assert cloud.alice.openstack("console", "log", "show", "--lines", "1", vm).strip() == f"{vm} login:"


def test_each_action_reaches_its_state_and_is_an_event(cloud: Cloud, vm: str) -> None:
    alice = cloud.alice
    steps = (("stop", "SHUTOFF"), ("start", "ACTIVE"), ("pause", "PAUSED"), ("unpause", "ACTIVE"),
             ("suspend", "SUSPENDED"), ("resume", "ACTIVE"))
    for action, status in steps:
        alice.openstack("server", action, vm)
        alice.settle(vm, status)
    names = [row["Action"] for row in alice.json("server", "event", "list", vm)]
    assert names == ["resume", "suspend", "unpause", "pause", "start", "stop", "create"]


def test_reboots_soft_and_hard_wait_until_it_runs_again(cloud: Cloud, vm: str) -> None:
    alice = cloud.alice
    alice.openstack("server", "reboot", "--wait", vm)
    alice.openstack("server", "reboot", "--hard", "--wait", vm)
    assert alice.status(vm) == "ACTIVE None"
    alice.openstack("server", "stop", vm)
    alice.settle(vm, "SHUTOFF")
    assert "409" in alice.refused("server", "reboot", "--soft", vm)
    alice.openstack("server", "reboot", "--hard", vm)
    alice.settle(vm, "ACTIVE")


def test_an_action_that_the_state_forbids_says_which_state(cloud: Cloud, vm: str) -> None:
    said = cloud.alice.refused("server", "start", vm)
    assert "Cannot 'start'" in said
    assert "vm_state active" in said


def test_the_events_of_a_boot_are_called_as_in_nova(cloud: Cloud, vm: str) -> None:
    made = cloud.alice.json("server", "event", "list", vm)[0]
    shown = cloud.alice.json("server", "event", "show", vm, made["Request ID"])
    assert shown["action"] == "create"
    steps = {event["event"]: event for event in shown["events"]}
    assert set(steps) == {"schedule_instances", "compute__do_build_and_run_instance"}
    assert all(event["result"] == "Success" for event in steps.values())
    assert all(event["start_time"] <= event["finish_time"] for event in steps.values())
    seen_by_admin = cloud.admin.json("server", "event", "show", made["Server ID"], made["Request ID"])
    assert {event["host"] for event in seen_by_admin["events"]} == {cloud.host}


def test_a_server_is_renamed_and_its_properties_set_and_unset(cloud: Cloud, vm: str) -> None:
    alice = cloud.alice
    alice.openstack("server", "set", "--name", "renamed", "--property", "a=1", "--property", "b=2", vm)
    alice.openstack("server", "set", "--description", "for a test", "renamed")
    alice.openstack("server", "unset", "--property", "a", "renamed")
    shown = alice.json("server", "show", "renamed")
    assert (shown["properties"], shown["description"]) == ({"b": "2"}, "for a test")
    assert "No Server found" in alice.refused("server", "show", vm)


def test_a_lock_keeps_members_from_acting(cloud: Cloud, vm: str) -> None:
    alice, amy = cloud.alice, cloud.amy
    server = alice.json("server", "show", vm)["id"]
    cloud.admin.openstack("server", "lock", "--reason", "audit", server)
    shown = alice.json("server", "show", vm)
    assert (shown["locked"], shown["locked_reason"]) == (True, "audit")
    for user in (alice, amy):
        assert "is locked" in user.refused("server", "stop", vm)
        assert "is locked" in user.refused("server", "delete", vm)
    assert "403" in amy.refused("server", "unlock", vm)
    cloud.admin.openstack("server", "unlock", server)
    amy.openstack("server", "lock", vm)
    assert "is locked" in alice.refused("server", "pause", vm)
    alice.openstack("server", "unlock", vm)
    amy.openstack("server", "stop", vm)
    alice.settle(vm, "SHUTOFF")


def test_another_project_does_not_find_the_server(cloud: Cloud, vm: str) -> None:
    server = cloud.alice.json("server", "show", vm)["id"]
    for words in (("show",), ("delete",), ("stop",), ("set", "--name", "mine"), ("event", "list")):
        said = cloud.bob.refused("server", *words, server)
        assert "No Server found" in said or f"Instance {server} could not be found" in said, words
    assert cloud.bob.json("server", "list") == []
    assert server in [row["ID"] for row in cloud.admin.json("server", "list", "--all-projects")]


def test_delete_waits_until_it_is_gone(cloud: Cloud, vm: str) -> None:
    with cloud.server() as other:
        cloud.alice.openstack("server", "delete", "--wait", vm, other)
    assert not {vm, other} & {row["Name"] for row in cloud.alice.json("server", "list")}
    gone = {row["Name"]: row["Status"] for row in cloud.admin.json("server", "list", "--all-projects", "--deleted")}
    assert (gone[vm], gone[other]) == ("DELETED", "DELETED")


@pytest.mark.parametrize(("option", "value"), [("--image", "no-such"), ("--flavor", "no-such"), ("--network", "no-such")])
def test_an_unknown_part_of_a_server_is_named(cloud: Cloud, option: str, value: str) -> None:
    params = {"--image": "img", "--flavor": "small", "--network": "net", option: value}
    words = [word for pair in params.items() for word in pair]
    assert "no-such" in cloud.alice.refused("server", "create", *words, "never")
    assert "never" not in [row["Name"] for row in cloud.alice.json("server", "list")]


@pytest.mark.parametrize("version", ["2.1", "2.47", "2.79"])
def test_clients_of_older_microversions_are_served(cloud: Cloud, vm: str, version: str) -> None:
    def show(*words: str) -> Any:
        return cloud.alice.json("--os-compute-api-version", version, *words)

    shown = show("server", "show", vm)
    assert (shown["status"], list(shown["addresses"])) == ("ACTIVE", ["net"])
    assert "small" in str(shown["flavor"])
    assert vm in [row["Name"] for row in show("server", "list", "--long")]
    assert [row["Action"] for row in show("server", "event", "list", vm)] == ["create"]
    assert "small" in [row["Name"] for row in show("flavor", "list")]
    cloud.alice.openstack("--os-compute-api-version", version, "server", "stop", vm)
    cloud.alice.settle(vm, "SHUTOFF")
