# SPDX-License-Identifier: Apache-2.0
"""rebuild, rescue and unrescue as requests: what is answered, written and refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Claim, Host
from nova_lite.db.image.images import Image
from nova_lite.runtime.tokens import open_tokens
from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, SERVER, ComputeApi, act, settle
from tests.support.api.users import PROJECTS

OTHER = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path))
    api.add(image(OTHER, min_disk_gb=1, properties={"os": "bsd"}))
    return api


def image(image_id: str, **columns: Any) -> Image:
    return Image(**{
        "id": image_id, "owner": PROJECTS["alice"], "name": "other", "status": "active", "visibility": "private",
        "disk_format": "qcow2", "container_format": "bare", "size": 1000, "virtual_size": 2000, "properties": {}, **columns})


def row(api: ComputeApi, server_id: str) -> Server:
    found: Server = api.change(lambda session: session.scalars(sa.select(Server).where(Server.id == server_id)).one())
    return found


def inputs(api: ComputeApi, name: str) -> Any:
    return api.change(lambda session: session.scalars(sa.select(Action).where(Action.name == name)).one()).inputs


@pytest.mark.parametrize("disk_format", ["iso", "ami", "aki", "ari"])
def test_an_image_that_no_guest_boots_from_is_refused_by_its_format(api: ComputeApi, server_id: str, disk_format: str) -> None:
    api.add(image("44444444-4444-4444-8444-444444444444", disk_format=disk_format))
    body = {"imageRef": "44444444-4444-4444-8444-444444444444"}
    refusals = [api.post("/servers", {"server": {**SERVER, **body}}), act(api, server_id, "rebuild", body),
                act(api, server_id, "rescue", {"rescue_image_ref": body["imageRef"]})]
    assert [refused.status for refused in refusals] == [400] * 3
    assert all(f"disk format {disk_format}" in str(refused.body) for refused in refusals)


def test_a_rebuild_changes_the_servers_row(api: ComputeApi, server_id: str) -> None:
    answer = act(api, server_id, "rebuild", {
        "imageRef": OTHER, "name": "new", "metadata": {"a": "b"}, "adminPass": "secret", "OS-DCF:diskConfig": "AUTO",
        "accessIPv4": "1.2.3.4", "description": "d"}, version="2.19")
    assert answer.status == 202
    server = answer.body["server"]
    assert (server["status"], server["name"], server["image"]["id"], server["metadata"], server["adminPass"]) == (
        "REBUILD", "new", OTHER, {"a": "b"}, "secret")
    assert (server["OS-DCF:diskConfig"], server["accessIPv4"], server["description"]) == ("AUTO", "1.2.3.4", "d")
    columns = row(api, server_id)
    assert (columns.image_properties, columns.task_state) == ({"os": "bsd"}, "rebuilding")
    assert inputs(api, "rebuild") == {"preserve_ephemeral": False, "is_on": True}
    assert [sent[:3] for sent in api.rpc.sent] == [("conductor", "", "run")]


def test_the_password_for_a_config_drive_is_stored_encrypted(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, config_drive=True)
    assert act(api, server_id, "rebuild", {"imageRef": OTHER, "adminPass": "secret"}).status == 202
    sealed = inputs(api, "rebuild")["admin_pass"]
    assert "secret" not in sealed
    assert open_tokens(api.conf).decrypt_secret(sealed) == "secret"


def test_the_password_of_a_rescue_is_stored_encrypted(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, config_drive=True)
    assert act(api, server_id, "rescue", {"adminPass": "secret"}).body == {"adminPass": "secret"}
    assert open_tokens(api.conf).decrypt_secret(inputs(api, "rescue")["admin_pass"]) == "secret"


def test_a_rebuild_keeps_what_it_does_not_name(api: ComputeApi, server_id: str) -> None:
    answer = act(api, server_id, "rebuild", {"imageRef": IMAGE})
    assert (answer.status, answer.body["server"]["name"], len(answer.body["server"]["adminPass"])) == (202, "vm", 12)


def test_a_rebuild_shows_what_its_version_has(api: ComputeApi, server_id: str) -> None:
    seen = {}
    for version in ("2.53", "2.54", "2.57", "2.75"):
        settle(api, server_id)
        seen[version] = set(act(api, server_id, "rebuild", {"imageRef": IMAGE}, version=version).body["server"])
    assert "key_name" not in seen["2.53"]
    assert seen["2.54"] - seen["2.53"] == {"key_name"}
    assert seen["2.57"] - seen["2.54"] == {"user_data"}
    assert {"security_groups", "config_drive", "host_status"} & seen["2.75"] == {"security_groups", "config_drive"}


def test_a_rebuild_changes_key_user_data_and_host_name_from_their_versions_on(api: ComputeApi, server_id: str) -> None:
    api.add(Keypair(user_id="alice", name="k", type="ssh", public_key="ssh-ed25519 AAAA", fingerprint="f"))
    answer = act(api, server_id, "rebuild", {
        "imageRef": IMAGE, "key_name": "k", "user_data": "aGk=", "hostname": "host"}, version="2.90")
    server = row(api, server_id)
    assert (answer.status, answer.body["server"]["key_name"], answer.body["server"]["user_data"]) == (202, "k", "aGk=")
    assert (server.key_data, server.hostname, server.user_data) == ("ssh-ed25519 AAAA", "host", "aGk=")
    settle(api, server_id)
    act(api, server_id, "rebuild", {"imageRef": IMAGE, "key_name": None, "user_data": None}, version="2.90")
    server = row(api, server_id)
    assert (server.key_name, server.key_data, server.user_data) == (None, None, None)


@pytest.mark.parametrize(("state", "is_on"), [("active", True), ("stopped", False), ("error", True)])
def test_a_stopped_server_stays_stopped_when_rebuilt(api: ComputeApi, server_id: str, state: str, *, is_on: bool) -> None:
    settle(api, server_id, vm_state=state)
    answer = act(api, server_id, "rebuild", {"imageRef": IMAGE})
    assert (answer.status, answer.body["server"]["status"], inputs(api, "rebuild")["is_on"]) == (202, "REBUILD", is_on)


@pytest.mark.parametrize("columns", [
    {"vm_state": "paused"}, {"vm_state": "suspended"}, {"vm_state": "rescued"}, {"task_state": "pausing"},
    {"vm_state": "error", "host": None, "agent": None},
])
@pytest.mark.parametrize(("word", "value"), [("rebuild", {"imageRef": IMAGE}), ("rescue", None)])
def test_rebuild_and_rescue_are_refused_in_the_wrong_state(
    api: ComputeApi, server_id: str, columns: dict[str, Any], word: str, value: Any
) -> None:
    settle(api, server_id, **columns)
    assert act(api, server_id, word, value).status == 409
    assert (row(api, server_id).task_state, api.rpc.sent) == (columns.get("task_state"), [])


@pytest.mark.parametrize(("value", "version"), [
    ({}, "2.1"), ({"imageRef": ""}, "2.1"), ({"imageRef": "44444444-4444-4444-8444-444444444444"}, "2.1"),
    ({"imageRef": IMAGE, "description": "d"}, "2.18"), ({"imageRef": IMAGE, "key_name": "k"}, "2.53"),
    ({"imageRef": IMAGE, "key_name": "unknown"}, "2.54"), ({"imageRef": IMAGE, "user_data": "aGk="}, "2.56"),
    ({"imageRef": IMAGE, "user_data": "?"}, "2.57"), ({"imageRef": IMAGE, "personality": []}, "2.57"),
    ({"imageRef": IMAGE, "trusted_image_certificates": ["c"]}, "2.63"), ({"imageRef": IMAGE, "hostname": "h1"}, "2.89"),
    ({"imageRef": IMAGE, "preserve_ephemeral": "maybe"}, "2.1"),
])
def test_a_wrong_rebuild_is_refused(api: ComputeApi, server_id: str, value: Any, version: str) -> None:
    assert act(api, server_id, "rebuild", value, version=version).status == 400
    assert row(api, server_id).task_state is None


@pytest.mark.parametrize("columns", [{"min_disk_gb": 2}, {"min_ram_mb": 65}, {"virtual_size": (1 << 30) + 1}, {"status": "queued"}])
def test_an_image_that_is_too_large_for_the_flavor_is_refused(api: ComputeApi, server_id: str, columns: dict[str, Any]) -> None:
    api.add(image("55555555-5555-4555-8555-555555555555", **columns))
    assert act(api, server_id, "rebuild", {"imageRef": "55555555-5555-4555-8555-555555555555"}).status == 400


@pytest.mark.parametrize(("left", "status", "claimed"), [(3, 202, 3), (2, 409, 1)])
def test_a_rebuild_changes_the_claim_of_a_root_disk_sized_by_its_image(
    api: ComputeApi, server_id: str, left: int, status: int, claimed: int
) -> None:
    """The flavor has no disk size; the new image is of three GiB, the old one was of less than one."""
    large = "66666666-6666-4666-8666-666666666666"
    api.add(image(large, virtual_size=3 << 30))
    api.add(Claim(server_id=server_id, host="h1", vcpus=1, ram_mb=64, disk_gb=1))

    def no_disk_size(session: Session) -> None:
        server = session.scalars(sa.select(Server)).one()
        server.flavor, server.total_gb = dataclasses.replace(server.flavor, root_gb=0, image_gb=1), 1
        session.add(compute_api.host("h1")[0])
        session.flush()
        session.execute(sa.update(Host).values(vcpus_claimed=1, ram_mb_claimed=64, disk_gb_claimed=1, disk_gb=left,
                                               servers_claimed=1))

    api.change(no_disk_size)
    answer = act(api, server_id, "rebuild", {"imageRef": large}, user="admin")
    assert answer.status == status, answer.body
    columns = row(api, server_id)
    sums, claims = api.change(lambda session: (
        session.scalar(sa.select(Host.disk_gb_claimed)), session.scalar(sa.select(Claim.disk_gb))))
    assert (columns.total_gb, sums, claims) == (claimed, claimed, claimed)
    assert columns.task_state == ("rebuilding" if status == 202 else None)


def test_a_rescue_returns_the_password_and_boots_the_servers_image(api: ComputeApi, server_id: str) -> None:
    answer = act(api, server_id, "rescue", {"adminPass": "secret"})
    assert (answer.status, answer.body, inputs(api, "rescue")) == (200, {"adminPass": "secret"}, {"image_id": IMAGE})
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] == "rescuing"


def test_a_rescue_may_name_an_image(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="stopped")
    answer = act(api, server_id, "rescue", {"rescue_image_ref": OTHER})
    assert (answer.status, len(answer.body["adminPass"])) == (200, 12)
    assert inputs(api, "rescue") == {"image_id": OTHER}


@pytest.mark.parametrize("value", [{"rescue_image_ref": "x"}, {"x": 1}, "x", {"adminPass": 1},
                                   {"rescue_image_ref": "44444444-4444-4444-8444-444444444444"}])
def test_a_wrong_rescue_is_refused(api: ComputeApi, server_id: str, value: Any) -> None:
    assert act(api, server_id, "rescue", value).status == 400


def test_a_rescued_server_has_status_rescue_and_can_be_unrescued(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "unrescue", None).status == 409
    settle(api, server_id, vm_state="rescued")
    assert api.get(f"/servers/{server_id}").body["server"]["status"] == "RESCUE"
    assert len(api.get("/servers?status=rescue").body["servers"]) == 1
    assert act(api, server_id, "unrescue", None).status == 202
    assert row(api, server_id).task_state == "unrescuing"


@pytest.mark.parametrize(("word", "value"), [("rebuild", {"imageRef": IMAGE}), ("rescue", None)])
def test_rebuild_and_rescue_of_a_locked_server_are_refused(api: ComputeApi, server_id: str, word: str, value: Any) -> None:
    act(api, server_id, "lock", None)
    assert act(api, server_id, word, value).status == 409
    assert act(api, server_id, word, value, user="admin").status in (200, 202)
