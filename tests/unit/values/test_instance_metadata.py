# SPDX-License-Identifier: Apache-2.0
"""The metadata of a guest, and the service at 169.254.169.254 that answers it."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
import webob

from nova_lite import errors
from nova_lite.api.metadata.app import MetadataApp, lookup
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection, of_flavor
from nova_lite.values.instance_metadata import (
    META_DATA,
    DevicePlace,
    NicFacts,
    ServerFacts,
    SubnetFacts,
    for_config_drive,
    render,
    to_bytes,
    with_places,
    with_random_seed,
)

RAW = bytes(range(256))
SUBNET = SubnetFacts(cidr="10.0.0.0/24", gateway="10.0.0.1", dns=("9.9.9.9",), has_dhcp=True, addresses=("10.0.0.5",))
NIC = NicFacts(tap="tap1", port_id="p", network_id="n", mac="fa:16:3e:00:00:01", mtu=1450, addresses=("10.0.0.5",), subnets=(SUBNET,))
FACTS = ServerFacts(
    id="6c0e57b0-0000-4000-8000-000000000001", number=26, name="Zoë", hostname="zoe", project_id="p" * 32,
    availability_zone="nova", launch_index=0, reservation_id="r-1", flavor_name="m1.nano",
    image_id="0000002a-0000-4000-8000-000000000001", key_name="k", key_data="ssh-ed25519 AAAA me", metadata_items={"a": "b"},
    user_data=base64.b64encode(RAW).decode(), nics=(NIC,), group_names=("default",), disks=of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=0))
DOCUMENTS = render(FACTS, dns_domain="novalocal")


class Guests:
    """The store of one guest, at 10.0.0.5 of network n; records the lookups and the posted passwords."""

    def __init__(self, error: errors.NovaLiteError | None = None) -> None:
        self.error = error
        self.lookups: list[tuple[str, str]] = []
        self.posted: list[str] = []

    def find(self, network_id: str, address: str) -> dict[str, str] | None:
        self.lookups.append((network_id, address))
        return DOCUMENTS if (network_id, address) == ("n", "10.0.0.5") else None

    def post_password(self, network_id: str, address: str, password: str) -> None:
        if self.error is not None:
            raise self.error
        self.posted.append(password)


def post(guests: Guests, path: str, body: bytes) -> int:
    request = webob.Request.blank(path, method="POST", body=body, environ={"REMOTE_ADDR": "10.0.0.5", "nova.network_id": "n"})
    return int(request.get_response(MetadataApp(guests)).status_code)


def get(path: str) -> bytes | None:
    return lookup(DOCUMENTS, path)


def test_meta_data_describes_the_server() -> None:
    document = json.loads(get("/openstack/latest/meta_data.json") or b"")
    assert (document["uuid"], document["name"], document["hostname"]) == (FACTS.id, "Zoë", "zoe.novalocal")
    assert document["public_keys"] == {"k": "ssh-ed25519 AAAA me"}
    assert document["keys"] == [{"name": "k", "type": "ssh", "data": "ssh-ed25519 AAAA me"}]
    assert document["meta"] == {"a": "b"}


def test_user_data_is_answered_byte_for_byte() -> None:
    assert get("/openstack/latest/user_data") == get("/latest/user-data") == RAW
    assert to_bytes(DOCUMENTS["openstack/latest/user_data"]) == RAW


def test_missing_user_data_is_not_found() -> None:
    bare = render(dataclasses.replace(FACTS, user_data=None), dns_domain="")
    assert lookup(bare, "/openstack/latest/user_data") is None
    assert lookup(bare, "/latest/user-data") is None


@pytest.mark.parametrize(("path", "expected"), [
    ("/latest/meta-data/instance-id", "i-0000001a"), ("/latest/meta-data/local-ipv4", "10.0.0.5"),
    ("/latest/meta-data/ami-id", "ami-0000002a"), ("/2009-04-04/meta-data/hostname", "zoe.novalocal"),
    ("/latest/meta-data/public-keys/", "0=k"), ("/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA me"),
    ("/latest/meta-data/placement/availability-zone", "nova"), ("/latest/meta-data/security-groups", "default"),
])
def test_the_ec2_tree_has_the_values_that_guests_expect(path: str, expected: str) -> None:
    assert get(path) == expected.encode()


def test_lists_name_existing_documents() -> None:
    for name in (get("/openstack/latest/") or b"").decode().split():
        assert get(f"/openstack/latest/{name}") is not None
    for name in (get("/latest/meta-data/") or b"").decode().split():
        assert get(f"/latest/meta-data/{name}") is not None


@pytest.mark.parametrize("path", ["/nonsense", "/latest/meta-data/nothing", "/openstack/1999-01-01/meta_data.json",
                                  "/latest/meta-data/public-keys/0/_name", "/openstack/latest/../../etc/passwd"])
def test_unknown_paths_are_not_found(path: str) -> None:
    assert get(path) is None


def test_a_guest_is_identified_by_network_and_address_and_no_header() -> None:
    guests = Guests()
    app = MetadataApp(guests)
    request = webob.Request.blank("/latest/meta-data/instance-id", environ={
        "REMOTE_ADDR": "10.0.0.6", "nova.network_id": "n"}, headers={
        "X-Forwarded-For": "10.0.0.5", "X-Instance-ID": FACTS.id, "X-Tenant-ID": FACTS.project_id})
    assert request.get_response(app).status_code == 404
    request.environ["REMOTE_ADDR"] = "10.0.0.5"
    assert request.get_response(app).body == b"i-0000001a"
    assert guests.lookups == [("n", "10.0.0.6"), ("n", "10.0.0.5")]


@pytest.mark.parametrize("path", ["/", "/openstack/latest/user_data", "/openstack/1999/password", "/latest/password"])
def test_other_paths_refuse_posts(path: str) -> None:
    guests = Guests()
    assert (post(guests, path, b"x"), guests.posted) == (405, [])


@pytest.mark.parametrize("version", ["latest", "2013-04-04"])
def test_a_guest_posts_a_password_for_its_owner(version: str) -> None:
    guests = Guests()
    assert post(guests, f"/openstack/{version}/password", b"c2VjcmV0\n") == 200
    assert guests.posted == ["c2VjcmV0"]


@pytest.mark.parametrize("raw", [b"x" * 1021, b"\0", b"two\nlines", "ä".encode()])
def test_an_invalid_password_is_refused(raw: bytes) -> None:
    guests = Guests()
    assert (post(guests, "/openstack/latest/password", raw), guests.posted) == (400, [])


@pytest.mark.parametrize(("error", "status"), [
    (errors.Conflict(reason="one is there"), 409), (errors.NotFound(what="Server", id="x"), 404),
    (errors.ServiceDown(service="nova-conductor", host="any", reason="silence"), 503)])
def test_a_refused_password_is_answered_with_the_errors_status(error: errors.NovaLiteError, status: int) -> None:
    assert post(Guests(error), "/openstack/latest/password", b"x") == status


def test_a_posted_password_is_readable_but_not_on_the_config_drive() -> None:
    assert get("/openstack/latest/password") == b""
    rendered = render(dataclasses.replace(FACTS, posted_password="c2VjcmV0"), dns_domain="")  # no secret
    assert lookup(rendered, "/openstack/latest/password") == b"c2VjcmV0"
    assert lookup(for_config_drive(rendered), "/openstack/latest/password") is None
    assert for_config_drive(rendered).keys() == rendered.keys() - {"openstack/latest/password"}


def test_devices_with_tags_are_named_by_their_mac() -> None:
    tagged = dataclasses.replace(NIC, mac="fa:16:3e:00:00:02", tag="storage")
    rendered = render(dataclasses.replace(FACTS, nics=(NIC, tagged)), dns_domain="")
    devices = json.loads(rendered["openstack/latest/meta_data.json"])["devices"]
    assert [(device["type"], device["mac"], device["tags"]) for device in devices] == [
        ("nic", "fa:16:3e:00:00:02", ["storage"])]


def test_the_public_address_is_the_first_floating_ip() -> None:
    assert get("/latest/meta-data/public-ipv4") == b""
    associated = dataclasses.replace(NIC, floating=("203.0.113.7", "203.0.113.8"))
    rendered = render(dataclasses.replace(FACTS, nics=(NIC, associated)), dns_domain="")
    assert lookup(rendered, "/latest/meta-data/public-ipv4") == b"203.0.113.7"


def test_injected_files_are_listed_in_meta_data() -> None:
    facts = dataclasses.replace(FACTS, files=(("/etc/motd", base64.b64encode(b"\xffhi").decode()),))
    rendered = render(facts, dns_domain="")
    assert json.loads(rendered["openstack/latest/meta_data.json"])["files"] == [
        {"path": "/etc/motd", "content_path": "/content/0000"}]
    assert to_bytes(rendered["openstack/content/0000"]) == b"\xffhi"


def network_data(*nics: NicFacts) -> dict[str, Any]:
    return dict(json.loads(render(dataclasses.replace(FACTS, nics=nics), dns_domain="")["openstack/latest/network_data.json"]))


def test_a_nic_of_a_subnet_with_dhcp_is_set_up_by_it() -> None:
    assert network_data(NIC)["networks"] == [{"id": "network0", "type": "ipv4_dhcp", "link": "tap1", "network_id": "n"}]
    assert network_data(NIC)["services"] == [{"type": "dns", "address": "9.9.9.9"}]


def test_without_dhcp_each_address_comes_with_mask_gateway_and_name_servers() -> None:
    static = SubnetFacts("10.0.1.0/25", "10.0.1.1", ("9.9.9.10", "9.9.9.9"), has_dhcp=False, addresses=("10.0.1.5", "10.0.1.6"))
    isolated = SubnetFacts("10.0.2.0/24", None, (), has_dhcp=False, addresses=("10.0.2.5",))
    described = network_data(dataclasses.replace(NIC, subnets=(SUBNET, static, isolated)))
    common = {"type": "ipv4", "link": "tap1", "network_id": "n"}
    of_static = {**common, "netmask": "255.255.255.128", "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.1.1"}],
                 "services": [{"type": "dns", "address": "9.9.9.10"}, {"type": "dns", "address": "9.9.9.9"}]}
    assert described["networks"][1:] == [
        {"id": "network1", **of_static, "ip_address": "10.0.1.5"}, {"id": "network2", **of_static, "ip_address": "10.0.1.6"},
        {"id": "network3", **common, "ip_address": "10.0.2.5", "netmask": "255.255.255.0", "routes": [], "services": []}]
    assert [service["address"] for service in described["services"]] == ["9.9.9.9", "9.9.9.10"]


@pytest.mark.parametrize(("root_device", "ephemeral_gb", "swap_mb", "others"), [
    ("/dev/vda", 0, 0, {}), ("/dev/vda", 1, 64, {"ephemeral0": "/dev/vdb", "swap": "/dev/vdc"}),
    ("/dev/sda", 0, 64, {"swap": "/dev/sdb"}), ("/dev/hda", 1, 0, {"ephemeral0": "/dev/hdb"}),
])
def test_the_disks_are_mapped_to_their_devices(root_device: str, ephemeral_gb: int, swap_mb: int, others: dict[str, str]) -> None:
    disks = of_flavor(root_gb=1, ephemeral_gb=ephemeral_gb, swap_mb=swap_mb)
    rendered = render(dataclasses.replace(FACTS, disks=disks, root_device=root_device), dns_domain="")
    mapping = json.loads(rendered["ec2/latest/meta-data.json"])["block-device-mapping"]
    assert mapping == {"ami": root_device[5:], "root": root_device, **others}


def test_a_certificate_is_a_key_of_type_x509() -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
    rendered = render(dataclasses.replace(FACTS, key_data=certificate), dns_domain="")
    assert json.loads(rendered["openstack/latest/meta_data.json"])["keys"] == [{"name": "k", "type": "x509", "data": certificate}]


def test_each_read_of_the_meta_data_has_another_random_seed() -> None:
    seeds = [json.loads(get("/openstack/2013-04-04/meta_data.json") or b"")["random_seed"] for _ in range(2)]
    seeds.append(json.loads(with_random_seed(DOCUMENTS)["openstack/latest/meta_data.json"])["random_seed"])
    assert {len(base64.b64decode(seed)) for seed in seeds} == {512}
    assert len(set(seeds)) == 3


def tagged_disks() -> dict[str, str]:
    """Documents of a guest with a volume and a disk of its host that have tags, and a volume without one."""
    connected = VolumeConnection(attachment_id="a1", volume_id="v1", connection={"driver_volume_type": "fake", "data": {}})
    volume = GuestDisk(source=DiskSource.VOLUME, size_mb=1024, tag="data", name="/dev/vdb", volume=connected)
    plain = dataclasses.replace(volume, tag=None, name="/dev/vdc", volume=dataclasses.replace(connected, volume_id="v2"))
    root = dataclasses.replace(FACTS.disks[0], tag="boot")
    return render(dataclasses.replace(FACTS, disks=(root, volume, plain)), dns_domain="")


def test_disks_with_tags_are_named_by_their_serial_numbers_and_places() -> None:
    documents = tagged_disks()
    unplaced = json.loads(documents[META_DATA])["devices"]
    assert [(one["type"], one["bus"], one["serial"], one["tags"]) for one in unplaced] == [
        ("disk", "none", "root", ["boot"]), ("disk", "none", "v1", ["data"])]
    places = {"v1": DevicePlace("pci", "0000:00:07.0", "/dev/vdb"), "root": DevicePlace("scsi", "0:0:0:1")}
    assert json.loads(with_places(documents, {}, places)[META_DATA])["devices"] == [
        {"type": "disk", "bus": "scsi", "address": "0:0:0:1", "serial": "root", "tags": ["boot"]},
        {"type": "disk", "bus": "pci", "address": "0000:00:07.0", "serial": "v1", "path": "/dev/vdb", "tags": ["data"]}]


def test_the_ec2_tree_names_volumes_by_their_devices() -> None:
    mapping = json.loads(tagged_disks()["ec2/latest/meta-data.json"])["block-device-mapping"]
    assert (mapping["ebs0"], mapping["ebs1"]) == ("/dev/vdb", "/dev/vdc")
