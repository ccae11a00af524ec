# SPDX-License-Identifier: Apache-2.0
"""Keypairs, as requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.api.compute.keypairs import keys
from tests.support.api import compute_api
from tests.support.api.compute_api import Answer, ComputeApi

SSH = keys.new_ssh_key("test").public_key


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    return compute_api.make(tmp_path)


def create(api: ComputeApi, name: str = "key", *, version: str = "2.10", user: str = "alice", **fields: Any) -> Answer:
    return api.post("/os-keypairs", {"keypair": {"name": name, **fields}}, version=version, user=user)


def test_a_given_key_is_kept(api: ComputeApi) -> None:
    made = create(api, public_key=SSH)
    assert made.status == 201
    assert made.body["keypair"] == {
        "name": "key", "public_key": SSH, "type": "ssh", "user_id": "alice", "fingerprint": keys.ssh_fingerprint(SSH)}
    listed = api.get("/os-keypairs", version="2.10").body
    shown = {word: value for word, value in made.body["keypair"].items() if word != "user_id"}
    assert listed == {"keypairs": [{"keypair": shown}]}


def test_before_2_2_there_is_no_type(api: ComputeApi) -> None:
    made = create(api, version="2.1", public_key=SSH)
    assert made.status == 200
    assert "type" not in made.body["keypair"]
    assert create(api, "other", version="2.1", type="ssh").status == 400
    assert api.delete("/os-keypairs/key", version="2.1").status == 202


def test_without_a_key_one_is_made(api: ComputeApi) -> None:
    made = create(api).body["keypair"]
    assert "OPENSSH PRIVATE KEY" in made["private_key"]
    assert keys.ssh_fingerprint(made["public_key"]) == made["fingerprint"]
    assert "private_key" not in api.get("/os-keypairs/key", version="2.10").body["keypair"]


def test_a_certificate_is_made_for_guests_that_take_those(api: ComputeApi) -> None:
    made = create(api, type="x509").body["keypair"]
    assert made["public_key"].startswith("-----BEGIN CERTIFICATE")
    assert "PRIVATE KEY" in made["private_key"]
    assert create(api, "again", type="x509", public_key=made["public_key"]).body["keypair"]["fingerprint"] == made["fingerprint"]


def test_from_2_92_on_the_key_must_be_given(api: ComputeApi) -> None:
    assert create(api, version="2.92").status == 400
    assert create(api, "me@home.org", version="2.91", public_key=SSH).status == 400
    assert create(api, "me@home.org", version="2.92", public_key=SSH).status == 201


@pytest.mark.parametrize("fields", [
    {"name": "a/b"}, {"name": ""}, {"name": " x"}, {"name": "k" * 256}, {"public_key": "ssh-rsa JUNK nova@ubuntu"},
    {"public_key": "hello"}, {"public_key": ""}, {"type": "pgp"}, {"colour": "red"},
    {"type": "x509", "public_key": SSH},
])
def test_a_wrong_keypair_is_refused(api: ComputeApi, fields: dict[str, Any]) -> None:
    assert create(api, **{"name": "key", **fields}).status == 400
    assert api.get("/os-keypairs").body == {"keypairs": []}


def test_a_name_is_taken_once_per_user(api: ComputeApi) -> None:
    create(api, public_key=SSH)
    refused = create(api, public_key=SSH)
    assert (refused.status, refused.body["conflictingRequest"]["message"]) == (409, "Key pair 'key' already exists.")
    assert create(api, public_key=SSH, user="bob").status == 201


def test_a_user_has_only_so_many(tmp_path: Path) -> None:
    api = compute_api.make(tmp_path)
    api.conf.set_override("key_pairs", 1, group="quota")
    create(api, public_key=SSH)
    refused = create(api, "second", public_key=SSH)
    assert (refused.status, refused.body["forbidden"]["message"]) == (403, "Quota exceeded, too many key pairs.")


def test_keypairs_of_others_are_for_admins_only(api: ComputeApi) -> None:
    create(api, public_key=SSH)
    assert api.get("/os-keypairs/key", user="bob").status == 404
    assert api.get("/os-keypairs/key?user_id=alice", user="bob", version="2.10").status == 403
    assert api.get("/os-keypairs?user_id=alice", user="bob", version="2.10").status == 403
    assert api.delete("/os-keypairs/key?user_id=alice", user="bob", version="2.10").status == 403
    assert create(api, "planted", user="bob", user_id="alice", public_key=SSH).status == 403
    assert api.get("/os-keypairs/key?user_id=alice", user="admin", version="2.10").status == 200
    assert create(api, "given", user="admin", user_id="alice", public_key=SSH).status == 201
    assert api.delete("/os-keypairs/given?user_id=alice", user="admin", version="2.10").status == 204


def test_show_names_all_that_nova_names(api: ComputeApi) -> None:
    create(api, public_key=SSH)
    assert set(api.get("/os-keypairs/key", version="2.1").body["keypair"]) == {
        "name", "public_key", "fingerprint", "user_id", "id", "created_at", "deleted", "deleted_at", "updated_at"}


def test_lists_page_by_name_from_2_35_on(api: ComputeApi) -> None:
    for name in ("c", "a", "b"):
        create(api, name, public_key=SSH)
    page = api.get("/os-keypairs?limit=2", version="2.35").body
    assert [entry["keypair"]["name"] for entry in page["keypairs"]] == ["a", "b"]
    assert page["keypairs_links"][0]["href"].endswith("/os-keypairs?limit=2&marker=b")
    rest = api.get("/os-keypairs?limit=2&marker=b", version="2.35").body
    assert ([entry["keypair"]["name"] for entry in rest["keypairs"]], "keypairs_links" in rest) == (["c"], False)
    assert api.get("/os-keypairs?marker=z", version="2.35").status == 400


def test_a_deleted_keypair_is_gone(api: ComputeApi) -> None:
    create(api, public_key=SSH)
    assert api.delete("/os-keypairs/key", version="2.10").status == 204
    refused = api.delete("/os-keypairs/key", version="2.10")
    assert (refused.status, refused.body["itemNotFound"]["message"]) == (404, "Keypair key not found for user alice")
