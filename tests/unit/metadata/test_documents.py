# SPDX-License-Identifier: Apache-2.0
"""What guests may read about themselves, and how 169.254.169.254 answers it."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest
import webob

from nova_lite.api.metadata.app import MetadataApp, answer
from nova_lite.metadata.documents import NicFacts, ServerFacts, render, to_bytes

RAW = bytes(range(256))
NIC = NicFacts(tap="tap1", port_id="p", network_id="n", mac="fa:16:3e:00:00:01", mtu=1450, addresses=("10.0.0.5",), dns=("9.9.9.9",))
FACTS = ServerFacts(
    id="6c0e57b0-0000-4000-8000-000000000001", number=26, name="Zoë", hostname="zoe", project_id="p" * 32,
    availability_zone="nova", launch_index=0, reservation_id="r-1", flavor_name="m1.nano",
    image_id="0000002a-0000-4000-8000-000000000001", key_name="k", key_data="ssh-ed25519 AAAA me", metadata_items={"a": "b"},
    user_data=base64.b64encode(RAW).decode(), nics=(NIC,), group_names=("default",))
DOCUMENTS = render(FACTS, dns_domain="novalocal")


def get(path: str) -> bytes | None:
    return answer(DOCUMENTS, path)


def test_meta_data_says_who_the_server_is() -> None:
    said = json.loads(get("/openstack/latest/meta_data.json") or b"")
    assert (said["uuid"], said["name"], said["hostname"]) == (FACTS.id, "Zoë", "zoe.novalocal")
    assert said["public_keys"] == {"k": "ssh-ed25519 AAAA me"}
    assert said["keys"] == [{"name": "k", "type": "ssh", "data": "ssh-ed25519 AAAA me"}]
    assert said["meta"] == {"a": "b"}


def test_user_data_comes_back_byte_for_byte_whatever_it_is() -> None:
    assert get("/openstack/latest/user_data") == get("/latest/user-data") == RAW
    assert to_bytes(DOCUMENTS["openstack/latest/user_data"]) == RAW


def test_without_user_data_there_is_none() -> None:
    bare = render(dataclasses.replace(FACTS, user_data=None), dns_domain="")
    assert answer(bare, "/openstack/latest/user_data") is None
    assert answer(bare, "/latest/user-data") is None


@pytest.mark.parametrize(("path", "expected"), [
    ("/latest/meta-data/instance-id", "i-0000001a"), ("/latest/meta-data/local-ipv4", "10.0.0.5"),
    ("/latest/meta-data/ami-id", "ami-0000002a"), ("/2009-04-04/meta-data/hostname", "zoe.novalocal"),
    ("/latest/meta-data/public-keys/", "0=k"), ("/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA me"),
    ("/latest/meta-data/placement/availability-zone", "nova"), ("/latest/meta-data/security-groups", "default"),
])
def test_the_ec2_tree_answers_as_guests_expect(path: str, expected: str) -> None:
    assert get(path) == expected.encode()


def test_listings_lead_to_every_document() -> None:
    for name in (get("/openstack/latest/") or b"").decode().split():
        assert get(f"/openstack/latest/{name}") is not None
    for name in (get("/latest/meta-data/") or b"").decode().split():
        assert get(f"/latest/meta-data/{name}") is not None


@pytest.mark.parametrize("path", ["/nonsense", "/latest/meta-data/nothing", "/openstack/1999-01-01/meta_data.json",
                                  "/latest/meta-data/public-keys/0/_name", "/openstack/latest/../../etc/passwd"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    assert get(path) is None


def test_the_guest_is_known_by_network_and_address_and_by_no_header() -> None:
    asked = []

    def find(network_id: str, address: str) -> dict[str, str] | None:
        asked.append((network_id, address))
        return DOCUMENTS if (network_id, address) == ("n", "10.0.0.5") else None

    app = MetadataApp(find)
    request = webob.Request.blank("/latest/meta-data/instance-id", environ={
        "REMOTE_ADDR": "10.0.0.6", "nova.network_id": "n"}, headers={
        "X-Forwarded-For": "10.0.0.5", "X-Instance-ID": FACTS.id, "X-Tenant-ID": FACTS.project_id})
    assert request.get_response(app).status_code == 404
    request.environ["REMOTE_ADDR"] = "10.0.0.5"
    assert request.get_response(app).body == b"i-0000001a"
    assert asked == [("n", "10.0.0.6"), ("n", "10.0.0.5")]


def test_only_get_is_answered() -> None:
    request = webob.Request.blank("/", method="POST", environ={"REMOTE_ADDR": "10.0.0.5", "nova.network_id": "n"})
    assert request.get_response(MetadataApp(lambda network_id, address: DOCUMENTS)).status_code == 405


def test_files_given_with_the_server_stand_beside_its_metadata() -> None:
    facts = dataclasses.replace(FACTS, files=(("/etc/motd", base64.b64encode(b"\xffhi").decode()),))
    rendered = render(facts, dns_domain="")
    assert json.loads(rendered["openstack/latest/meta_data.json"])["files"] == [
        {"path": "/etc/motd", "content_path": "/content/0000"}]
    assert to_bytes(rendered["openstack/content/0000"]) == b"\xffhi"
