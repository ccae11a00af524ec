# SPDX-License-Identifier: Apache-2.0
"""os-volume_attachments: volumes are attached and detached, shown as each microversion shows them, and refusals are Nova's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from tests.support.api import compute_api, volume_api
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


@pytest.fixture
def volume(api: ComputeApi) -> str:
    """An available volume in a pool that every host reaches."""
    api.add(volume_api.pool(reach="network"), volume_api.volume(VOLUME))
    return VOLUME


def rows(api: ComputeApi, server: str) -> list[Attachment]:
    return api.change(lambda session: session.query(Attachment).filter(Attachment.server_id == server).all())


def status(api: ComputeApi) -> str:
    return str(api.change(lambda session: session.get_one(Volume, VOLUME).status))


def attached(api: ComputeApi, server: str, **columns: object) -> None:
    """As a conductor writes it at the end."""
    def write(session: Session) -> None:
        (row,) = session.query(Attachment).filter(Attachment.server_id == server)
        row.status = "attached"
        for name, value in columns.items():
            setattr(row, name, value)
        session.get_one(Volume, VOLUME).status = "in-use"

    api.change(write)


def test_a_volume_is_reserved_and_the_conductor_attaches_it(api: ComputeApi, server: str, volume: str) -> None:
    api.rpc.sent.clear()
    answer = api.post(path(server), ATTACH)
    assert (answer.status, answer.body) == (200, {"volumeAttachment": {
        "id": volume, "volumeId": volume, "serverId": server, "device": "/dev/vdb"}})
    assert status(api) == "reserved"
    assert [sent[:3] for sent in api.rpc.sent] == [("conductor", "", "run")]
    assert api.get(f"/servers/{server}").body["server"]["os-extended-volumes:volumes_attached"] == [{"id": volume}]


@pytest.mark.parametrize(("version", "fields"), [
    ("2.69", {"id", "volumeId", "serverId", "device"}),
    ("2.70", {"id", "volumeId", "serverId", "device", "tag"}),
    ("2.79", {"id", "volumeId", "serverId", "device", "tag", "delete_on_termination"}),
    ("2.89", {"volumeId", "serverId", "device", "tag", "delete_on_termination", "attachment_id", "bdm_uuid"})])
def test_each_version_shows_its_fields(api: ComputeApi, server: str, volume: str, version: str, fields: set[str]) -> None:
    api.post(path(server), ATTACH)
    assert set(api.get(path(server, volume), version=version).body["volumeAttachment"]) == fields
    assert set(api.get(path(server), version=version).body["volumeAttachments"][0]) == fields


def test_from_2_101_on_the_answer_has_no_body(api: ComputeApi, server: str, volume: str) -> None:
    answer = api.post(path(server), {"volumeAttachment": {"volumeId": volume, "tag": "data", "delete_on_termination": True}}, version="2.101")
    assert (answer.status, answer.body) == (202, None)
    (row,) = rows(api, server)
    assert (row.tag, row.delete_on_termination) == ("data", True)


def test_a_volume_is_attached_once(api: ComputeApi, server: str, volume: str) -> None:
    api.post(path(server), ATTACH)
    again = api.post(path(server), ATTACH)
    assert (again.status, message(again)) == (400, f"Invalid volume: volume {volume} is already attached to instance {server}")
    other = boot(api)
    settle(api, other)
    taken = api.post(path(other), ATTACH)
    assert (taken.status, "status is reserved" in message(taken)) == (400, True)


def test_a_volume_of_many_servers_needs_2_60(api: ComputeApi, server: str, volume: str) -> None:
    api.change(lambda session: setattr(session.get_one(Volume, volume), "multiattach", True))
    assert "2.60" in message(api.post(path(server), ATTACH, version="2.59"))
    other = boot(api)
    settle(api, other)
    assert [api.post(path(one), ATTACH, version="2.60").status for one in (server, other)] == [200, 200]


def test_a_pool_of_one_host_serves_its_own_guests_only(api: ComputeApi, server: str) -> None:
    api.add(volume_api.pool("h2@lvm#pool"), volume_api.volume(VOLUME, host="h2@lvm#pool"))
    settle(api, server, host="h1", agent="h1")
    answer = api.post(path(server), ATTACH)
    assert (answer.status, "only guests of its own host reach" in message(answer)) == (400, True)


def test_a_tag_is_for_servers_on_a_host(api: ComputeApi, server: str, volume: str) -> None:
    settle(api, server, vm_state="shelved_offloaded", host=None, agent=None)
    answer = api.post(path(server), {"volumeAttachment": {"volumeId": volume, "tag": "data"}}, version="2.49")
    assert (answer.status, "with a tag" in message(answer)) == (400, True)
    assert api.post(path(server), ATTACH, version="2.49").status == 200


def test_a_server_has_as_many_disks_as_letters(api: ComputeApi, server: str, volume: str) -> None:
    api.add(*(Attachment(project_id="p", server_id=server, mountpoint=f"/dev/vd{letter}") for letter in "bcdefghijklmnopqrstuvwxyz"))
    answer = api.post(path(server), ATTACH)
    assert (answer.status, "as many disks" in message(answer)) == (403, True)
    assert status(api) == "available"


def test_a_volume_is_detached_by_the_conductor(api: ComputeApi, server: str, volume: str) -> None:
    api.post(path(server), ATTACH)
    early = api.delete(path(server, volume))
    assert (early.status, "status is reserved" in message(early)) == (400, True)
    attached(api, server)
    api.rpc.sent.clear()
    assert api.delete(path(server, volume)).status == 202
    assert (status(api), [row.status for row in rows(api, server)]) == ("detaching", ["detaching"])
    assert [sent[:3] for sent in api.rpc.sent] == [("conductor", "", "run")]
    assert api.delete(path(server, volume)).status == 400


def test_a_root_disk_is_not_detached(api: ComputeApi, server: str, volume: str) -> None:
    api.post(path(server), ATTACH)
    attached(api, server, boot_index=0)
    answer = api.delete(path(server, volume))
    assert (answer.status, message(answer)) == (400, "Cannot detach a root device volume")


def test_whether_a_volume_is_deleted_with_the_server_may_change(api: ComputeApi, server: str, volume: str) -> None:
    api.post(path(server), ATTACH)
    body = {"volumeId": volume, "serverId": server, "device": "/dev/vdb", "id": volume, "delete_on_termination": True}
    assert api.put(path(server, volume), {"volumeAttachment": body}, version="2.85").status == 202
    assert [row.delete_on_termination for row in rows(api, server)] == [True]
    for name, value in (("device", "/dev/vdc"), ("serverId", OTHER), ("tag", "new")):
        refused = api.put(path(server, volume), {"volumeAttachment": {**body, name: value}}, version="2.85")
        assert (refused.status, name in message(refused)) == (400, True)


def test_a_volume_is_swapped_in_its_migration_only(api: ComputeApi, server: str, volume: str) -> None:
    api.post(path(server), ATTACH)
    answer = api.put(path(server, volume), {"volumeAttachment": {"volumeId": OTHER}}, user="admin")
    assert (answer.status, "not being migrated" in message(answer)) == (409, True)


def test_pages_of_attachments(api: ComputeApi, server: str, volume: str) -> None:
    api.post(path(server), ATTACH)
    assert api.get(path(server) + "?offset=1").body == {"volumeAttachments": []}
    assert api.get(path(server) + "?limit=0").body == {"volumeAttachments": []}


def test_anothers_volume_is_not_found(api: ComputeApi, server: str) -> None:
    api.add(volume_api.volume(VOLUME, user="bob"))
    answer = api.post(path(server), ATTACH)
    assert (answer.status, message(answer)) == (404, f"Volume {VOLUME} could not be found.")
