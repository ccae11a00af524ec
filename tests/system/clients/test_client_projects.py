# SPDX-License-Identifier: Apache-2.0
"""The openstack client and the SDK: projects with properties and tags, quotas, application credentials, and cleaning up."""

from __future__ import annotations

import openstack as sdk_library

from tests.system.clients.conftest import Cloud


def test_a_projects_properties_and_tags_are_kept(cloud: Cloud) -> None:
    admin = cloud.admin
    admin.openstack("project", "create", "--property", "team=red", "--tag", "web", "kept")
    admin.openstack("project", "set", "--property", "room=5", "--tag", "eu", "kept")
    shown = admin.json("project", "show", "--parents", "--children", "kept")
    assert (shown["team"], shown["room"], sorted(shown["tags"]), shown["parents"]) == ("red", "5", ["eu", "web"], {"default": None})
    assert [row["Name"] for row in admin.json("project", "list", "--tags", "web,eu")] == ["kept"]
    assert "Max hierarchy depth reached" in admin.refused("project", "create", "--parent", "kept", "child")
    admin.openstack("project", "delete", "kept")


def test_quotas_of_both_services_are_set_and_deleted(cloud: Cloud) -> None:
    admin = cloud.admin
    admin.openstack("project", "create", "--or-show", "limited")

    def limits() -> dict[str, int]:
        return {row["Resource"]: row["Limit"] for row in admin.json("quota", "show", "limited")}

    before = limits()
    admin.openstack("quota", "set", "--cores", "31", "--routers", "21", "limited")
    assert limits() == {**before, "cores": 31, "routers": 21}
    assert "Additional properties" not in admin.openstack("quota", "list", "--network")
    admin.openstack("quota", "delete", "limited")
    assert limits() == before
    admin.openstack("project", "delete", "limited")


def test_networks_are_made_with_an_mtu_and_tags(cloud: Cloud) -> None:
    alice = cloud.alice
    made = alice.json("network", "create", "--mtu", "1400", "--tag", "red", "tagged")
    assert made["mtu"] == 1400
    assert [row["Name"] for row in alice.json("network", "list", "--tags", "red")] == ["tagged"]
    alice.openstack("network", "delete", "tagged")


def test_a_program_logs_in_with_an_application_credential(cloud: Cloud) -> None:
    alice = cloud.alice
    made = alice.json("application", "credential", "create", "--role", "reader", "ci")
    entry = {name.lower().replace(" ", "_"): value for name, value in made.items()}
    auth = {"auth_url": f"{cloud.url}/identity/v3", "application_credential_id": entry["id"],
            "application_credential_secret": entry["secret"]}
    with sdk_library.connect(auth_type="v3applicationcredential", auth=auth, region_name="RegionOne",
                             load_envvars=False, load_yaml_config=False) as ci:
        assert {network.name for network in ci.network.networks()} >= {"net"}
        assert ci.session.auth.get_access(ci.session).role_names == ["reader"]
        refused = ci.session.post(f"{cloud.url}/network/v2.0/networks", json={"network": {}}, raise_exc=False)
        assert refused.status_code == 403
    assert [row["Name"] for row in alice.json("application", "credential", "list")] == ["ci"]
    alice.openstack("application", "credential", "delete", "ci")


def test_an_image_is_created_without_a_terminal_and_without_data(cloud: Cloud) -> None:
    alice = cloud.alice
    alice.program("openstack", "image", "create", "no-bytes")
    shown = alice.json("image", "show", "no-bytes")
    assert (shown["status"], shown["size"]) == ("active", 0)
    alice.openstack("image", "delete", "no-bytes")


def test_several_ports_are_made_at_once_and_a_cleanup_leaves_nothing(cloud: Cloud) -> None:
    bob = cloud.bob
    with bob.sdk() as sdk:
        network = sdk.network.create_network(name="swept")
        sdk.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.88.0.0/24")
        made = sdk.network.create_ports([{"network_id": network.id, "name": name} for name in ("one", "two")])
        assert [port.name for port in made] == ["one", "two"]
        sdk.network.create_router(name="swept")
    bob.openstack("project", "cleanup", "--auth-project", "--auto-approve")
    with bob.sdk() as sdk:
        left = [*sdk.network.networks(name="swept"), *sdk.network.routers(name="swept"), *sdk.network.ports(network_id=network.id)]
    assert left == []
