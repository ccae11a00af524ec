# SPDX-License-Identifier: Apache-2.0
"""What a server needs, made through the public API by openstacksdk: image, network, rules, key; right ones stay."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tools.lib.quickstart.screen import Failed, Step

NAME = "quickstart"
IMAGE, NETWORK = "nova-lite-guest", "private"
# Ranges that people seldom use at home or at work; the first that nothing here is connected to.
_RANGES = ("10.77.0.0/24", "10.177.0.0/24", "172.29.77.0/24", "192.168.177.0/24")
_RULES = (
    {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
    {"protocol": "icmp", "port_range_min": None, "port_range_max": None},
)


class Resources:
    """`cloud` is an openstack.connection.Connection, whose objects are untyped."""

    def __init__(self, cloud: Any, *, directory: Path) -> None:
        self._cloud = cloud
        self.key = directory / "id_ed25519"

    def image(self, step: Step, file: Path) -> Any:
        """The guest image; one with other content is replaced."""
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha512").hexdigest()
        found = list(self._cloud.image.images(name=IMAGE))
        good = [image for image in found if image.hash_value == content and image.status == "active"]
        for image in found:
            if image not in good[:1]:
                self._cloud.image.delete_image(image)
        if good:
            step.did = f"{IMAGE} is there"
            return good[0]
        step.progress = f"uploading {file.stat().st_size / 1e6:.0f} MB"
        made = self._cloud.image.create_image(IMAGE, filename=str(file), disk_format="qcow2", container_format="bare",
                                              visibility="public")  # fmt: skip
        step.did = f"uploaded {IMAGE}, {file.stat().st_size / 1e6:.0f} MB"
        return made

    def network(self, step: Step) -> Any:
        """A shared network with a subnet; the host gets a route to it."""
        network = next(iter(self._cloud.network.networks(name=NETWORK)), None)
        is_new = network is None
        if network is None:
            network = self._cloud.network.create_network(name=NETWORK, shared=True)
        subnet = next(iter(self._cloud.network.subnets(network_id=network.id, ip_version=4)), None)
        if subnet is None:
            subnet = self._cloud.network.create_subnet(
                name=NETWORK, network_id=network.id, ip_version=4, cidr=_free_range()
            )
            is_new = True
        step.did = f"{'made ' if is_new else ''}{NETWORK}, {subnet.cidr}{'' if is_new else ' is there'}"
        return network

    def rules(self, step: Step) -> None:
        """Ssh and ping into the project's default group."""
        project = self._cloud.current_project_id
        group = next(iter(self._cloud.network.security_groups(name="default", project_id=project)))
        present = [
            {name: rule[name] for name in ("protocol", "port_range_min", "port_range_max")}
            for rule in self._cloud.network.security_group_rules(security_group_id=group.id, direction="ingress")
            if rule.remote_group_id is None and rule.remote_ip_prefix in (None, "0.0.0.0/0")
        ]
        missing = [rule for rule in _RULES if rule not in present]
        for rule in missing:
            self._cloud.network.create_security_group_rule(
                security_group_id=group.id, direction="ingress", ethertype="IPv4", **rule
            )
        step.did = "group default lets ssh and ping in" + ("" if missing else " already")

    def keypair(self, step: Step) -> None:
        """A key of our own, whose public half the guest gets from the metadata service."""
        if not self.key.exists():
            done = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", str(self.key)],
                                  capture_output=True, text=True, check=False)  # fmt: skip
            if done.returncode:
                raise Failed(f"ssh-keygen: {done.stderr.strip()}", remedy="tools/install installs openssh-client")
        public = self.key.with_suffix(".pub").read_text().strip()
        known = next((pair for pair in self._cloud.compute.keypairs() if pair.name == NAME), None)
        if known is not None and known.public_key.split()[:2] == public.split()[:2]:
            step.did = f"{NAME} is there ({self.key})"
            return
        if known is not None:
            self._cloud.compute.delete_keypair(known)
        self._cloud.compute.create_keypair(name=NAME, public_key=public)
        step.did = f"made {NAME} ({self.key})"


def _free_range() -> str:
    """A range that overlaps no route of this machine.

    :raises Failed: all of ours do.
    """
    shown = subprocess.run(["ip", "-j", "-4", "route"], capture_output=True, text=True, check=True, timeout=10).stdout
    routes = [ipaddress.ip_network(route["dst"]) for route in json.loads(shown or "[]") if route["dst"] != "default"]
    for wanted in _RANGES:
        if not any(ipaddress.ip_network(wanted).overlaps(route) for route in routes):
            return wanted
    raise Failed(f"this machine has routes into all of {', '.join(_RANGES)}",
                 remedy=f"make the network yourself: openstack network create --share {NETWORK}; "
                        f"openstack subnet create --network {NETWORK} --subnet-range RANGE {NETWORK}; "
                        "then run tools/quickstart again")  # fmt: skip


def connect(clouds_file: Path, cloud: str) -> Any:
    """openstacksdk's connection, which imports take a second."""
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(clouds_file)
    import openstack

    return openstack.connect(cloud=cloud)
