# SPDX-License-Identifier: Apache-2.0
"""Instance metadata: rendered once, so that 169.254.169.254 and the config drive return the same bytes.

Paths are those of a config drive: https://docs.openstack.org/nova/latest/user/metadata.html
"""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import GuestDisk

Documents = dict[str, str]  # path → the document's bytes as text, see to_text
META_DATA = "openstack/latest/meta_data.json"
_SEED_BYTES = 512  # as Nova's
PASSWORD = "openstack/latest/password"  # a guest may write it, by the metadata service only


@dataclasses.dataclass(frozen=True)
class DevicePlace:
    """Where in the guest a disk is: `bus` pci, scsi, ide, usb or none, its `address` there, and the `path` of its device."""

    bus: str
    address: str
    path: str = ""


@dataclasses.dataclass(frozen=True)
class SubnetFacts:
    """A subnet that a NIC has addresses in: `cidr` 10.0.0.0/24; without DHCP the guest sets itself up by the documents."""

    cidr: str
    gateway: str | None
    dns: tuple[str, ...]
    has_dhcp: bool
    addresses: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NicFacts:
    """One NIC of the guest."""

    tap: str
    port_id: str
    network_id: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    subnets: tuple[SubnetFacts, ...]
    tag: str | None = None
    floating: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ServerFacts:
    """The server's data in the documents. `user_data` is base64, as clients send it.

    `root_device`: the root disk's name; the other `disks` follow it by letter. `files` are injected: path in the guest, and contents in base64.
    `posted_password` is what the guest itself posted, encrypted for its owner.
    """

    id: str
    number: int
    name: str
    hostname: str
    project_id: str
    availability_zone: str
    launch_index: int
    reservation_id: str
    flavor_name: str
    image_id: str | None
    key_name: str | None
    key_data: str | None
    metadata_items: dict[str, str]
    user_data: str | None
    nics: tuple[NicFacts, ...]
    group_names: tuple[str, ...]
    disks: tuple[GuestDisk, ...]
    root_device: str = "/dev/vda"
    files: tuple[tuple[str, str], ...] = ()
    posted_password: str | None = None


def for_config_drive(documents: Documents, *, admin_pass: str | None = None) -> Documents:
    """Without the one document that changes while the guest runs; with the password, which as in Nova only a config drive has."""
    drive = {path: text for path, text in documents.items() if path != PASSWORD}
    if admin_pass is not None:
        drive[META_DATA] = _json({**json.loads(drive[META_DATA]), "admin_pass": admin_pass})
    return drive


def names_devices(documents: Documents) -> bool:
    """Whether they have tagged devices, whose bus addresses are to be filled in."""
    return bool(json.loads(documents.get(META_DATA, "{}")).get("devices"))


def with_places(documents: Documents, nics: Mapping[str, str], disks: Mapping[str, DevicePlace]) -> Documents:
    """With the PCI address of each tagged NIC, by MAC address, and the place of each tagged disk, by serial number; others are left out."""
    meta_data = json.loads(documents[META_DATA])
    for device in meta_data["devices"]:
        place = disks.get(device.get("serial", ""))
        if device.get("mac") in nics:
            device.update(bus="pci", address=nics[device["mac"]])
        elif place is not None:
            device.update(bus=place.bus, address=place.address, **({"path": place.path} if place.path else {}))
    return {**documents, META_DATA: _json(meta_data)}


def with_random_seed(documents: Documents) -> Documents:
    """With entropy for the guest, another at each call: kernels and cloud-init feed it to the random number generator."""
    meta_data = json.loads(documents[META_DATA])
    seed = base64.b64encode(secrets.token_bytes(_SEED_BYTES)).decode("ascii")
    return {**documents, META_DATA: _json({**meta_data, "random_seed": seed})}


def to_text(raw: bytes) -> str:
    """Bytes as text that JSON carries without loss: user data may be anything."""
    return raw.decode("latin-1")


def to_bytes(text: str) -> bytes:
    """The bytes that `to_text` was given."""
    return text.encode("latin-1")


def render(facts: ServerFacts, *, dns_domain: str) -> Documents:
    """Every document of the server by its path on a config drive."""
    documents = {
        META_DATA: _json(_openstack(facts, dns_domain)),
        "openstack/latest/network_data.json": _json(_network_data(facts)),
        "openstack/latest/vendor_data.json": _json({}),
        "openstack/latest/vendor_data2.json": _json({"static": {}}),
        PASSWORD: facts.posted_password or "",
        "ec2/latest/meta-data.json": _json(_ec2(facts, dns_domain)),
    }
    if facts.user_data:
        raw = to_text(base64.b64decode(facts.user_data))
        documents |= {"openstack/latest/user_data": raw, "ec2/latest/user-data": raw}
    for number, (_path, contents) in enumerate(facts.files):
        documents[f"openstack{_content_path(number)}"] = to_text(base64.b64decode(contents))
    return documents


def _content_path(number: int) -> str:
    return f"/content/{number:04d}"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=True)


def _fqdn(facts: ServerFacts, dns_domain: str) -> str:
    return f"{facts.hostname}.{dns_domain}" if dns_domain and "." not in facts.hostname else facts.hostname


def _openstack(facts: ServerFacts, dns_domain: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "uuid": facts.id, "name": facts.name, "hostname": _fqdn(facts, dns_domain), "project_id": facts.project_id,
        "availability_zone": facts.availability_zone, "launch_index": facts.launch_index, "devices": _devices(facts),
        "dedicated_cpus": [],
    }
    if facts.metadata_items:
        document["meta"] = facts.metadata_items
    if facts.files:
        document["files"] = [
            {"path": path, "content_path": _content_path(number)} for number, (path, _) in enumerate(facts.files)]
    if facts.key_name and facts.key_data:
        document["public_keys"] = {facts.key_name: facts.key_data}
        document["keys"] = [{"name": facts.key_name, "type": _key_type(facts.key_data), "data": facts.key_data}]
    return document


def _key_type(key: str) -> str:
    """Keypairs of type x509 are certificates in PEM, which no public key of SSH is."""
    return "x509" if key.lstrip().startswith("-----BEGIN CERTIFICATE-----") else "ssh"


def _devices(facts: ServerFacts) -> list[dict[str, Any]]:
    """Those with a tag; where on which bus they are is known once the guest is defined, see `with_places`."""
    nics = [{"type": "nic", "bus": "none", "address": "none", "mac": nic.mac, "tags": [nic.tag]} for nic in facts.nics if nic.tag]
    serials = zip(facts.disks, guest_disk.serials(facts.disks), strict=True)
    return nics + [{"type": "disk", "bus": "none", "address": "none", "serial": serial, "tags": [disk.tag]}
                   for disk, serial in serials if disk.tag]


def _network_data(facts: ServerFacts) -> dict[str, Any]:
    return {
        "links": [{"id": nic.tap, "vif_id": nic.port_id, "type": "bridge", "mtu": nic.mtu,
                   "ethernet_mac_address": nic.mac} for nic in facts.nics],
        "networks": [{"id": f"network{number}", **network} for number, network in enumerate(
            network for nic in facts.nics for subnet in nic.subnets for network in _networks(nic, subnet))],
        "services": _dns_services(address for nic in facts.nics for subnet in nic.subnets for address in subnet.dns),
    }


def _networks(nic: NicFacts, subnet: SubnetFacts) -> list[dict[str, Any]]:
    """How the guest sets up the NIC in the subnet: by DHCP, or each address by itself."""
    common = {"link": nic.tap, "network_id": nic.network_id}
    if subnet.has_dhcp:
        return [{"type": "ipv4_dhcp", **common}]
    routes = [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": subnet.gateway}] if subnet.gateway else []
    netmask = str(ipaddress.IPv4Network(subnet.cidr).netmask)
    return [{"type": "ipv4", **common, "ip_address": address, "netmask": netmask, "routes": routes, "services": _dns_services(subnet.dns)}
            for address in subnet.addresses]


def _dns_services(addresses: Iterable[str]) -> list[dict[str, str]]:
    return [{"type": "dns", "address": address} for address in dict.fromkeys(addresses)]


def _ec2(facts: ServerFacts, dns_domain: str) -> dict[str, Any]:
    local = next((address for nic in facts.nics for address in nic.addresses), "")
    public = next((address for nic in facts.nics for address in nic.floating), "")
    document: dict[str, Any] = {
        "ami-id": _ec2_id("ami", int((facts.image_id or "0")[:8], 16)), "ami-launch-index": facts.launch_index,
        "hostname": _fqdn(facts, dns_domain), "instance-action": "none",
        "instance-id": _ec2_id("i", facts.number), "instance-type": facts.flavor_name, "local-hostname": _fqdn(facts, dns_domain),
        "local-ipv4": local, "public-hostname": _fqdn(facts, dns_domain), "public-ipv4": public,
        "reservation-id": facts.reservation_id, "security-groups": list(facts.group_names),
        "placement": {"availability-zone": facts.availability_zone},
        "block-device-mapping": _block_devices(facts),
    }
    if facts.key_name and facts.key_data:
        document["public-keys"] = {"0": {"_name": facts.key_name, "openssh-key": facts.key_data}}
    return document


def _block_devices(facts: ServerFacts) -> dict[str, str]:
    """EC2's names of the disks: cloud-init mounts ephemeral0 and swaps to swap."""
    mapping = {"ami": facts.root_device.removeprefix("/dev/"), "root": facts.root_device}
    others = [disk for disk in facts.disks if not disk.is_root]
    ephemeral = volumes = 0
    for letter, disk in zip("bcdefghijklmnopqrstuvwxyz", others, strict=False):
        device = disk.name or f"{facts.root_device[:-1]}{letter}"
        if disk.is_swap:
            mapping["swap"] = device
        elif disk.is_ephemeral:
            mapping[f"ephemeral{ephemeral}"] = device
            ephemeral += 1
        elif disk.is_volume:
            mapping[f"ebs{volumes}"] = device
            volumes += 1
    return mapping


def _ec2_id(kind: str, number: int) -> str:
    return f"{kind}-{number:08x}"

