# SPDX-License-Identifier: Apache-2.0
"""Volumes while there is no volume service: lists are empty, refusals are Nova's, and states count as if there were one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, message, settle

VOLUME = "66666666-6666-4666-8666-666666666666"
OTHER = "77777777-7777-4777-8777-777777777777"
ATTACH = {"volumeAttachment": {"volumeId": VOLUME}}


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    return compute_api.furnish(compute_api.make(tmp_path))


@pytest.fixture
def server(api: ComputeApi) -> str:
    found = boot(api)
    settle(api, found)
    return found


def path(server: str, volume: str = "") -> str:
    return f"/servers/{server}/os-volume_attachments" + (f"/{volume}" if volume else "")


@pytest.mark.parametrize("version", ["2.1", "2.70", "2.89", "2.104"])
def test_a_server_has_no_volumes(api: ComputeApi, server: str, version: str) -> None:
    assert api.get(path(server), version=version).body == {"volumeAttachments": []}
    one = api.get(path(server, VOLUME), version=version)
    assert (one.status, message(one)) == (404, f"Instance {server} is not attached to volume {VOLUME}.")


@pytest.mark.parametrize(("version", "status"), [("2.1", 200), ("2.74", 200), ("2.75", 400)])
def test_unknown_parameters_of_the_list_are_refused_from_2_75_on(api: ComputeApi, server: str, version: str, status: int) -> None:
    assert api.get(path(server) + "?limit=1&offset=0", version=version).status == 200
    assert api.get(path(server) + "?colour=red", version=version).status == status


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "offset=x", "offset=-1"])
@pytest.mark.parametrize("listed", ["", "/os-volumes", "/os-volumes/detail", "/os-snapshots", "/os-snapshots/detail"])
def test_page_parameters_must_be_numbers(api: ComputeApi, server: str, listed: str, query: str) -> None:
    answer = api.get(f"{listed or path(server)}?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in message(answer)


@pytest.mark.parametrize("version", ["2.1", "2.20", "2.101", "2.104"])
def test_no_volume_is_found_to_attach(api: ComputeApi, server: str, version: str) -> None:
    answer = api.post(path(server), ATTACH, version=version)
    assert (answer.status, message(answer)) == (404, f"Volume {VOLUME} could not be found.")


@pytest.mark.parametrize(("vm_state", "version", "status"), [
    ("active", "2.1", 404), ("paused", "2.1", 404), ("stopped", "2.1", 404), ("resized", "2.1", 404), ("soft-delete", "2.1", 404),
    ("suspended", "2.104", 409), ("rescued", "2.104", 409), ("error", "2.104", 409),
    ("shelved", "2.19", 409), ("shelved", "2.20", 404), ("shelved_offloaded", "2.19", 409), ("shelved_offloaded", "2.20", 404)])
def test_a_server_whose_state_takes_no_volume_says_so(
    api: ComputeApi, server: str, vm_state: str, version: str, status: int
) -> None:
    settle(api, server, vm_state=vm_state)
    answer = api.post(path(server), ATTACH, version=version)
    assert answer.status == status
    if status == 409:
        assert message(answer) == f"Cannot 'attach_volume' server {server} while it is in vm_state {vm_state}"


def test_a_busy_or_locked_server_takes_none(api: ComputeApi, server: str) -> None:
    settle(api, server, task_state="pausing")
    assert message(api.post(path(server), ATTACH)).endswith("task_state pausing")
    settle(api, server, locked_by="owner")
    locked = api.post(path(server), ATTACH)
    assert (locked.status, "locked" in message(locked)) == (409, True)
    assert api.post(path(server), ATTACH, user="admin").status == 404


@pytest.mark.parametrize(("field", "value", "version"), [
    ("volumeId", "no-uuid", "2.1"), ("device", "vdb", "2.1"), ("tag", "a", "2.48"), ("tag", "a,b", "2.49"),
    ("delete_on_termination", True, "2.78"), ("delete_on_termination", "perhaps", "2.79"), ("colour", "red", "2.104")])
def test_bad_input_is_refused_naming_the_field(api: ComputeApi, server: str, field: str, value: object, version: str) -> None:
    answer = api.post(path(server), {"volumeAttachment": {"volumeId": VOLUME, field: value}}, version=version)
    assert answer.status == 400
    assert field in message(answer)


@pytest.mark.parametrize("more", [{"tag": "a"}, {"delete_on_termination": True}, {"device": "/dev/vdb"}, {"device": None}])
def test_what_a_version_knows_is_taken(api: ComputeApi, server: str, more: dict[str, object]) -> None:
    assert api.post(path(server), {"volumeAttachment": {"volumeId": VOLUME, **more}}, version="2.79").status == 404


def test_changing_is_the_owners_and_swapping_a_services(api: ComputeApi, server: str) -> None:
    same = {"volumeAttachment": {"volumeId": VOLUME, "delete_on_termination": True}}
    changed = api.put(path(server, VOLUME), same, version="2.85")
    assert (changed.status, message(changed)) == (404, f"Volume {VOLUME} could not be found.")
    assert api.put(path(server, VOLUME), same, version="2.84").status == 400
    swap = {"volumeAttachment": {"volumeId": OTHER}}
    refused = api.put(path(server, VOLUME), swap, version="2.85")
    assert (refused.status, "os-volumes-attachments:swap" in message(refused)) == (403, True)
    assert api.put(path(server, VOLUME), swap, user="admin").status == 404


def test_nothing_is_detached(api: ComputeApi, server: str) -> None:
    answer = api.delete(path(server, VOLUME))
    assert (answer.status, message(answer)) == (404, f"Volume {VOLUME} could not be found.")


def test_another_projects_server_is_not_found(api: ComputeApi, server: str) -> None:
    for answer in (api.get(path(server), user="bob"), api.get(path(server, VOLUME), user="bob"),
                   api.post(path(server), ATTACH, user="bob"), api.delete(path(server, VOLUME), user="bob"),
                   api.put(path(server, VOLUME), ATTACH, user="bob")):
        assert answer.status == 404
        assert server in message(answer)


@pytest.mark.parametrize(("collection", "key"), [("os-volumes", "volumes"), ("os-snapshots", "snapshots")])
def test_the_proxies_list_nothing_and_find_nothing_up_to_2_35(api: ComputeApi, collection: str, key: str) -> None:
    for listed in (f"/{collection}", f"/{collection}/detail"):
        assert api.get(listed).body == {key: []}
        assert api.get(listed, version="2.36").status == 404
    for answer in (api.get(f"/{collection}/{VOLUME}"), api.delete(f"/{collection}/{VOLUME}")):
        assert (answer.status, message(answer)) == (404, f"{key[:-1].title()} {VOLUME} could not be found.")


@pytest.mark.parametrize(("listed", "body", "wrong", "field"), [
    ("/os-volumes", {"volume": {"size": 1, "display_name": "v"}}, {"volume": {"size": "big"}}, "size"),
    ("/os-volumes", {"volume": {"size": "1"}}, {"volume": {}}, "size"),
    ("/os-snapshots", {"snapshot": {"volume_id": VOLUME, "force": True}}, {"snapshot": {"volume_id": VOLUME, "force": 7}}, "force"),
    ("/os-snapshots", {"snapshot": {"volume_id": VOLUME}}, {"snapshot": {"force": False}}, "volume_id")])
def test_nothing_is_created_and_the_answer_says_why(
    api: ComputeApi, listed: str, body: object, wrong: object, field: str
) -> None:
    answer = api.post(listed, body)
    assert (answer.status, message(answer)) == (400, "This cloud has no volume service.")
    assert field in message(api.post(listed, wrong))
    assert api.post(listed, body, user="reader").status == 403
    assert api.post(listed, body, version="2.36").status == 404


def test_assisted_snapshots_find_no_volume(api: ComputeApi) -> None:
    info = {"snapshot_id": "s", "type": "qcow2", "new_file": "f"}
    made = api.post("/os-assisted-volume-snapshots", {"snapshot": {"volume_id": VOLUME, "create_info": info}}, user="service")
    assert (made.status, VOLUME in message(made)) == (400, True)
    wrong = api.post("/os-assisted-volume-snapshots", {"snapshot": {"volume_id": VOLUME, "create_info": info | {"type": "raw"}}},
                     user="service")
    assert (wrong.status, "type" in message(wrong)) == (400, True)
    one = "/os-assisted-volume-snapshots/s"
    assert "delete_info" in message(api.delete(one, user="service"))
    assert api.delete(f'{one}?delete_info={{"volume_id":"{VOLUME}"}}', user="service").status == 404
    assert api.delete(one).status == 403
