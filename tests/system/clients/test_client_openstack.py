# SPDX-License-Identifier: Apache-2.0
"""The openstack client: identity, flavors, images, keys and networks."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from tests.system.clients.conftest import Cloud


def test_a_token_is_issued_for_the_users_project(cloud: Cloud) -> None:
    token = cloud.alice.json("token", "issue")
    project = cloud.admin.json("project", "show", "art")
    assert token["project_id"] == project["id"]
    assert len(token["id"]) > 100
    assert token["expires"].endswith("+0000")


def test_a_wrong_password_is_refused_with_a_sentence(cloud: Cloud) -> None:
    said = cloud.alice.refused("--os-password", "wrong", "token", "issue")
    assert "401" in said
    assert "requires authentication" in said


def test_the_catalog_lists_every_service_at_the_url_that_clients_reach(cloud: Cloud) -> None:
    catalog = {service["Type"]: service["Endpoints"] for service in cloud.alice.json("catalog", "list")}
    assert set(catalog) >= {"compute", "identity", "image", "network"}
    urls = {one["url"] for endpoints in catalog.values() for one in endpoints if one["interface"] == "public"}
    assert all(url.startswith(cloud.url) for url in urls), urls


def test_the_client_works_as_a_program(cloud: Cloud) -> None:
    said = cloud.alice.program("openstack", "flavor", "list", "-f", "value", "-c", "Name", "-c", "RAM")
    assert "small 64" in said.splitlines()


def test_a_flavor_is_created_listed_shown_and_deleted(cloud: Cloud) -> None:
    made = cloud.admin.json("flavor", "create", "--id", "auto", "--ram", "256", "--disk", "3", "--ephemeral", "1", "--swap",
                           "64", "--vcpus", "2", "--property", "hw:cpu_policy=shared", "f-wide")
    listed = {row["Name"]: row for row in cloud.alice.json("flavor", "list")}
    assert listed["f-wide"] == {"ID": made["id"], "Name": "f-wide", "RAM": 256, "Disk": 3, "Ephemeral": 1, "VCPUs": 2,
                                "Is Public": True}
    shown = cloud.alice.json("flavor", "show", "f-wide")
    assert (shown["swap"], shown["properties"]) == (64, {"hw:cpu_policy": "shared"})
    cloud.admin.openstack("flavor", "delete", "f-wide")
    assert "f-wide" in cloud.alice.refused("flavor", "show", "f-wide")


def test_a_member_may_not_create_a_flavor(cloud: Cloud) -> None:
    assert "403" in cloud.alice.refused("flavor", "create", "--ram", "1", "--disk", "1", "--vcpus", "1", "f-mine")


def test_an_image_comes_back_as_it_went_in(cloud: Cloud, tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(content)
    cloud.alice.openstack("image", "create", "--file", str(sent), "--disk-format", "raw", "--container-format", "bare",
                          "--property", "os_distro=debian", "i-mine")
    shown = cloud.alice.json("image", "show", "i-mine")
    assert (shown["status"], shown["size"], shown["visibility"]) == ("active", len(content), "shared")
    assert shown["properties"]["os_distro"] == "debian"
    assert shown["properties"]["os_hash_value"] == hashlib.sha512(content).hexdigest()
    assert {"i-mine": "active"}.items() <= {row["Name"]: row["Status"] for row in cloud.alice.json("image", "list")}.items()
    cloud.alice.openstack("image", "save", "--file", str(got), "i-mine")
    assert got.read_bytes() == content
    cloud.alice.openstack("image", "delete", "i-mine")
    assert "i-mine" not in [row["Name"] for row in cloud.alice.json("image", "list")]


def test_a_private_image_of_another_project_is_not_there(cloud: Cloud) -> None:
    cloud.alice.openstack("image", "create", "--file", str(cloud.file), "--disk-format", "raw", "--private", "i-secret")
    assert "i-secret" in cloud.bob.refused("image", "show", "i-secret")
    cloud.alice.openstack("image", "delete", "i-secret")


def test_a_file_of_another_format_than_it_says_is_refused_with_the_reason(cloud: Cloud) -> None:
    said = cloud.alice.refused("image", "create", "--file", str(cloud.file), "--disk-format", "qcow2", "i-wrong")
    assert "qcow2" in said
    assert all(row["Status"] != "active" for row in cloud.alice.json("image", "list", "--name", "i-wrong"))


def test_the_client_makes_a_key_and_the_cloud_keeps_its_public_half(cloud: Cloud, tmp_path: Path) -> None:
    private = tmp_path / "key"
    made = cloud.alice.json("keypair", "create", "--private-key", str(private), "k-made")
    listed = {row["Name"]: row for row in cloud.alice.json("keypair", "list")}
    assert listed["k-made"]["Fingerprint"] == made["fingerprint"]
    assert "PRIVATE KEY" in private.read_text()
    public = cloud.alice.openstack("keypair", "show", "--public-key", "k-made")
    digest = hashlib.md5(base64.b64decode(public.split()[1]), usedforsecurity=False).hexdigest()
    assert made["fingerprint"].replace(":", "") == digest
    cloud.alice.openstack("keypair", "delete", "k-made")
    assert "k-made" not in [row["Name"] for row in cloud.alice.json("keypair", "list")]


def test_a_public_key_is_imported_once(cloud: Cloud, tmp_path: Path) -> None:
    public = tmp_path / "key.pub"
    cloud.alice.openstack("keypair", "create", "--private-key", str(tmp_path / "key"), "k-first")
    public.write_text(cloud.alice.openstack("keypair", "show", "--public-key", "k-first"))
    cloud.alice.openstack("keypair", "create", "--public-key", str(public), "k-second")
    assert "k-second" in cloud.alice.refused("keypair", "create", "--public-key", str(public), "k-second")
    cloud.alice.openstack("keypair", "delete", "k-first", "k-second")


def test_networks_and_subnets_are_created_and_deleted(cloud: Cloud) -> None:
    cloud.bob.openstack("network", "create", "n-one")
    made = cloud.bob.json("subnet", "create", "--network", "n-one", "--subnet-range", "192.168.5.0/28",
                         "--dns-nameserver", "192.0.2.1", "s-one")
    assert (made["gateway_ip"], made["enable_dhcp"], made["dns_nameservers"]) == ("192.168.5.1", True, ["192.0.2.1"])
    listed = {row["Name"]: row["Subnets"] for row in cloud.bob.json("network", "list")}
    assert listed["n-one"] == [made["id"]]
    assert "net" not in listed
    cloud.bob.openstack("subnet", "delete", "s-one")
    cloud.bob.openstack("network", "delete", "n-one")
    assert "n-one" not in [row["Name"] for row in cloud.bob.json("network", "list")]


def test_a_network_in_use_is_not_deleted(cloud: Cloud, vm: str) -> None:
    assert "409" in cloud.alice.refused("network", "delete", "net")
    assert "409" in cloud.alice.refused("subnet", "delete", "net-subnet")


def test_ssh_and_ping_are_let_in_by_rules_of_the_default_group(cloud: Cloud) -> None:
    ssh = cloud.bob.json("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
    ping = cloud.bob.json("security", "group", "rule", "create", "--protocol", "icmp", "default")
    rules = {row["ID"]: row for row in cloud.bob.json("security", "group", "rule", "list", "default")}
    assert (rules[ssh["id"]]["Port Range"], rules[ssh["id"]]["IP Range"]) == ("22:22", "0.0.0.0/0")
    assert rules[ping["id"]]["IP Protocol"] == "icmp"
    assert "409" in cloud.bob.refused("security", "group", "rule", "create", "--protocol", "icmp", "default")
    cloud.bob.openstack("security", "group", "rule", "delete", ssh["id"], ping["id"])
    left = [row["ID"] for row in cloud.bob.json("security", "group", "rule", "list", "default")]
    assert not {ssh["id"], ping["id"]} & set(left)
