# SPDX-License-Identifier: Apache-2.0
"""Instance metadata: rendered once, so that 169.254.169.254 and the config drive return the same bytes.

Paths are those of a config drive: https://docs.openstack.org/nova/latest/user/metadata.html
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

Documents = dict[str, str]  # path → the document's bytes as text, see to_text
_META_DATA = "openstack/latest/meta_data.json"
PASSWORD = "openstack/latest/password"  # a guest may write it, by the metadata service only


@dataclasses.dataclass(frozen=True)
class NicFacts:
    """One NIC of the guest."""

    tap: str
    port_id: str
    network_id: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    dns: tuple[str, ...]
    tag: str | None = None
    floating: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ServerFacts:
    """The server's data in the documents. `user_data` is base64, as clients send it.

    `files` are injected: path in the guest, and contents in base64.
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
    files: tuple[tuple[str, str], ...] = ()
    posted_password: str | None = None


def for_config_drive(documents: Documents, *, admin_pass: str | None = None) -> Documents:
    """Without the one document that changes while the guest runs; with the password, which as in Nova only a config drive has."""
    drive = {path: text for path, text in documents.items() if path != PASSWORD}
    if admin_pass is not None:
        drive[_META_DATA] = _json({**json.loads(drive[_META_DATA]), "admin_pass": admin_pass})
    return drive


def names_devices(documents: Documents) -> bool:
    """Whether they have tagged devices, whose bus addresses are to be filled in."""
    return bool(json.loads(documents.get(_META_DATA, "{}")).get("devices"))


def with_places(documents: Documents, places: Mapping[str, str]) -> Documents:
    """With the PCI address of each tagged NIC; `places`: by MAC address, those of others are left out."""
    meta_data = json.loads(documents[_META_DATA])
    for device in meta_data["devices"]:
        if device["mac"] in places:
            device.update(bus="pci", address=places[device["mac"]])
    return {**documents, _META_DATA: _json(meta_data)}


def to_text(raw: bytes) -> str:
    """Bytes as text that JSON carries without loss: user data may be anything."""
    return raw.decode("latin-1")


def to_bytes(text: str) -> bytes:
    """The bytes that `to_text` was given."""
    return text.encode("latin-1")


def render(facts: ServerFacts, *, dns_domain: str) -> Documents:
    """Every document of the server by its path on a config drive."""
    documents = {
        _META_DATA: _json(_openstack(facts, dns_domain)),
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
        document["keys"] = [{"name": facts.key_name, "type": "ssh", "data": facts.key_data}]
    return document


def _devices(facts: ServerFacts) -> list[dict[str, Any]]:
    """Those with a tag; where on which bus they are is known once the guest is defined, see `with_places`."""
    return [{"type": "nic", "bus": "none", "address": "none", "mac": nic.mac, "tags": [nic.tag]}
            for nic in facts.nics if nic.tag]


def _network_data(facts: ServerFacts) -> dict[str, Any]:
    return {
        "links": [{"id": nic.tap, "vif_id": nic.port_id, "type": "bridge", "mtu": nic.mtu,
                   "ethernet_mac_address": nic.mac} for nic in facts.nics],
        "networks": [{"id": f"network{number}", "type": "ipv4_dhcp", "link": nic.tap, "network_id": nic.network_id}
                     for number, nic in enumerate(facts.nics)],
        "services": [{"type": "dns", "address": address}
                     for address in dict.fromkeys(address for nic in facts.nics for address in nic.dns)],
    }


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
        "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
    }
    if facts.key_name and facts.key_data:
        document["public-keys"] = {"0": {"_name": facts.key_name, "openssh-key": facts.key_data}}
    return document


def _ec2_id(kind: str, number: int) -> str:
    return f"{kind}-{number:08x}"

