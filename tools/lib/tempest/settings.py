# SPDX-License-Identifier: Apache-2.0
"""Tempest's settings for the cloud: accounts, an image, flavors, networks, and which features hold."""

from __future__ import annotations

import configparser
import dataclasses
import json
import secrets
from pathlib import Path
from typing import Any

from tools.lib.tempest.cloud import PUBLIC_RANGE

# Moves between hosts come later; there is no store of keys, so that no volume is encrypted.
FEATURES: dict[str, bool | str] = {
    "resize": True, "console_output": True, "vnc_console": True, "serial_console": True, "rescue": True,
    "stable_rescue": True, "shelve": True, "snapshot": True, "pause": True, "suspend": True, "personality": True,
    "interface_attach": True, "config_drive": True, "metadata_service": True, "enable_instance_password": True,
    "change_password": True, "hostname_fqdn_sanitization": True, "dhcp_domain": "", "shelve_migrate": False, "cold_migration": False, "live_migration": False,
    "attach_encrypted_volume": False, "swap_volume": True, "volume_multiattach": True, "spice_console": False,
}
VOLUME_FEATURES = {
    "multi_backend": True, "backup": True, "snapshot": True, "clone": True, "manage_volume": False, "manage_snapshot": False,
    "extend_attached_volume": True, "extend_attached_encrypted_volume": False, "extend_volume_with_snapshot": True,
    "enable_volume_image_dep_tests": True, "replication": False,
}
BACKENDS = ("local", "second")
NETWORK, PUBLIC = "tempest", "public"


@dataclasses.dataclass(frozen=True)
class Made:
    """Ids of what Tempest uses."""

    image: str
    image_alt: str
    flavor: str
    flavor_alt: str
    network: str
    public: str
    multiattach: str


def make(cloud: Any, image: Path, *, is_real: bool, has_accounts: bool) -> Made:  # openstacksdk is untyped
    """Make what tests boot from and plug into; `cloud` is an openstack.connection.Connection of an admin.

    The network is shared when projects `has_accounts` use it; with dynamic credentials each project gets its own.
    """
    disk_format = "qcow2" if image.suffix == ".qcow2" else "raw"
    image_id, image_alt_id = [cloud.image.create_image(name, filename=str(image), disk_format=disk_format, container_format="bare",
                                       visibility="public", hw_qemu_guest_agent="yes").id for name in ("tempest", "tempest-alt")]
    ram_mb = 128 if is_real else 64
    flavor_id, flavor_alt_id = [cloud.compute.create_flavor(name=f"tempest{number}", ram=ram_mb * number, vcpus=1, disk=1).id
               for number in (1, 2)]
    network = cloud.network.create_network(name=NETWORK, shared=has_accounts)
    cloud.network.create_subnet(name=NETWORK, network_id=network.id, ip_version=4, cidr="10.71.0.0/20")
    public = cloud.network.create_network(name=PUBLIC, is_router_external=True)
    cloud.network.create_subnet(name=PUBLIC, network_id=public.id, ip_version=4, cidr=PUBLIC_RANGE, is_dhcp_enabled=False)
    multiattach = cloud.block_storage.create_type(name="tempest-multiattach", extra_specs={"multiattach": "<is> True"})
    return Made(image_id, image_alt_id, flavor_id, flavor_alt_id, network.id, public.id, multiattach.name)


# The first is what tests request; the others are what it implies in a real Keystone.
_USERS = (("member", "reader"), ("reader",), ("manager", "member", "reader"))
# In projects of their own, since tests expect that an admin's own project has no servers of others.
_OPERATORS = (("admin",), ("admin", "service"))


def write_accounts(cloud: Any, path: Path, *, projects: int) -> None:  # as above
    """Users of every kind that tests request, in twice `projects` projects; names and passwords go to the file."""
    roles = {role.name: role for role in cloud.identity.roles()}
    accounts = []
    for number in range(projects):
        for name, kinds in ((f"tempest{number}", _USERS), (f"tempest{number}-operators", _OPERATORS)):
            project = cloud.identity.create_project(name=name)
            for held in kinds:
                accounts.append(_account(cloud, project, [roles[role] for role in held]))
    # For the credentials `primary` and `alt` Tempest takes the first that are free: two members, of two projects.
    accounts.sort(key=lambda account: account["roles"] != ["member"])
    path.write_text(json.dumps(accounts, indent=1))  # JSON is YAML
    path.chmod(0o600)


def _account(cloud: Any, project: Any, roles: list[Any]) -> dict[str, Any]:  # as above
    """A new user with those roles in the project, as an accounts file has it."""
    is_admin = roles[0].name == "admin"
    names = [role.name for role in (roles if is_admin else roles[:1])]
    user, password = f"{project.name}-{'-'.join(names)}", secrets.token_urlsafe(18)
    made = cloud.identity.create_user(name=user, password=password, default_project_id=project.id)
    for role in roles:
        cloud.identity.assign_project_role_to_user(project, made, role)
    return {"username": user, "project_name": project.name, "password": password, "user_domain_name": "Default",
            "project_domain_name": "Default", "roles": names, "resources": {"network": NETWORK},
            **({"types": ["admin"]} if names == ["admin"] else {})}


def write(path: Path, made: Made, auth: dict[str, Any], *, accounts: Path | None, is_real: bool) -> None:
    """tempest.conf; `accounts` None: Tempest makes its own users and networks. `auth`: the admin's of clouds.yaml."""
    config = configparser.RawConfigParser()
    own_networks = {} if accounts is None else {"test_accounts_file": str(accounts)}
    config["DEFAULT"] = {"log_file": str(path.parent / "tempest.log"), "debug": "true"}
    config["auth"] = {
        "use_dynamic_credentials": str(accounts is None).lower(), **own_networks, "admin_username": auth["username"],
        "admin_password": auth["password"], "admin_project_name": auth["project_name"], "admin_domain_name": "Default"}
    config["identity"] = {"uri_v3": f"{auth['auth_url'].rstrip('/').removesuffix('/v3')}/v3", "auth_version": "v3",
                          "region": "RegionOne", "v3_endpoint_type": "public"}
    config["compute"] = {
        "image_ref": made.image, "image_ref_alt": made.image_alt, "flavor_ref": made.flavor,
        "flavor_ref_alt": made.flavor_alt, "min_microversion": "2.1", "max_microversion": "latest",
        "build_timeout": "120", "hypervisor_type": "QEMU" if is_real else "fake",
        **({"fixed_network_name": NETWORK} if accounts else {})}
    features = FEATURES | {"volume_multiattach": not is_real}  # files of qcow2 are for one guest
    config["compute-feature-enabled"] = {name: str(value).lower() for name, value in features.items()}
    # A simulated snapshot is done at once: a test that wants to see one under way gives up after this long.
    config["image"] = {"build_timeout": "300" if is_real else "10"}
    config["network"] = {"public_network_id": made.public, "floating_network_name": PUBLIC}
    config["network-feature-enabled"] = {"ipv6": "false"}
    config["volume"] = {
        "catalog_type": "block-storage", "min_microversion": "3.0", "max_microversion": "latest", "backend_names": ",".join(BACKENDS),
        "backup_driver": "posix", "vendor_name": "Open Source", "storage_protocol": "file" if is_real else "fake",
        "volume_type_multiattach": made.multiattach, "build_timeout": "300" if is_real else "60"}
    config["volume-feature-enabled"] = {name: str(value).lower() for name, value in VOLUME_FEATURES.items()}
    config["service_available"] = {"cinder": "true", "swift": "false", "horizon": "false", "glance": "true",
                                   "neutron": "true", "nova": "true"}
    # Tests log in to real guests: to the address that they give them, as root, by the key that metadata brought.
    config["validation"] = {"run_validation": str(is_real).lower(), "image_ssh_user": "root"}
    config["oslo_concurrency"] = {"lock_path": str(path.parent / "locks")}
    with path.open("w") as file:
        config.write(file)
    path.chmod(0o600)
