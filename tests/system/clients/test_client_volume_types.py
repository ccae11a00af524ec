# SPDX-License-Identifier: Apache-2.0
"""The openstack client and the SDK: what operators prepare for volumes, and what users see of it."""

from __future__ import annotations

from tests.system.clients.conftest import Cloud


def test_volume_types_with_specs_encryption_and_qos(cloud: Cloud) -> None:
    admin, alice = cloud.admin, cloud.alice
    admin.openstack("volume", "type", "create", "--property", "volume_backend_name=fast", "--property", "multiattach=<is> True", "fast")
    admin.openstack("volume", "type", "create", "--encryption-provider", "luks", "--encryption-control-location", "front-end",
                    "--encryption-cipher", "aes-xts-plain64", "--encryption-key-size", "256", "secret")
    admin.openstack("volume", "qos", "create", "--consumer", "front-end", "--property", "total_iops_sec=100", "slow")
    admin.openstack("volume", "qos", "associate", "slow", "fast")
    assert admin.json("volume", "qos", "show", "slow")["associations"] == ["fast"]
    assert admin.json("volume", "type", "show", "--encryption-type", "secret")["encryption"]["key_size"] == 256
    assert {row["Name"] for row in alice.json("volume", "type", "list")} == {"__DEFAULT__", "fast", "secret"}
    assert alice.json("volume", "type", "show", "fast")["properties"] == {"multiattach": "<is> True"}
    admin.openstack("volume", "type", "unset", "--property", "volume_backend_name", "fast")
    assert admin.json("volume", "type", "show", "fast")["properties"] == {"multiattach": "<is> True"}
    admin.openstack("volume", "qos", "delete", "--force", "slow")
    admin.openstack("volume", "type", "delete", "fast", "secret")
    assert alice.json("volume", "type", "list", "--default")[0]["Name"] == "__DEFAULT__"


def test_a_private_type_is_seen_by_its_projects(cloud: Cloud) -> None:
    admin = cloud.admin
    admin.openstack("volume", "type", "create", "--private", "--project", "art", "arts")
    assert "arts" in [row["Name"] for row in cloud.alice.json("volume", "type", "list")]
    assert "arts" not in [row["Name"] for row in cloud.bob.json("volume", "type", "list")]
    assert "No Type found" in cloud.bob.refused("volume", "type", "show", "arts")
    admin.openstack("volume", "type", "delete", "arts")


def test_quotas_of_volumes_and_their_types(cloud: Cloud) -> None:
    admin = cloud.admin
    admin.openstack("quota", "set", "--volumes", "3", "--gigabytes", "20", "--volume-type", "__DEFAULT__", "art")
    shown = {row["Resource"]: row["Limit"] for row in cloud.alice.json("quota", "show", "--volume")}
    assert (shown["volumes___DEFAULT__"], shown["gigabytes___DEFAULT__"], shown["volumes"]) == (3, 20, 10)
    admin.openstack("quota", "delete", "--volume", "art")
    shown = {row["Resource"]: row["Limit"] for row in cloud.alice.json("quota", "show", "--volume")}
    assert shown["volumes___DEFAULT__"] == -1


def test_the_sdk_makes_groups_of_volumes(cloud: Cloud) -> None:
    with cloud.admin.sdk() as sdk:
        kind = sdk.block_storage.create_group_type(name="racks")
    with cloud.alice.sdk() as sdk:
        default = sdk.block_storage.find_type("__DEFAULT__")
        made = sdk.block_storage.create_group(name="g", group_type=kind.id, volume_types=[default.id])
        shown = sdk.block_storage.get_group(made)
        assert (shown.name, shown.status, shown.volume_types) == ("g", "available", [default.id])
        sdk.block_storage.delete_group(made)
        assert sdk.block_storage.find_group("g") is None
    with cloud.admin.sdk() as sdk:
        sdk.block_storage.delete_group_type(kind)
