# SPDX-License-Identifier: Apache-2.0
"""The proxies to volumes and snapshots up to 2.35 act on what the Block Storage API has; assisted snapshots are accepted of attached volumes."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.volume import volume_types
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from tests.support.api import compute_api, volume_api
from tests.support.api.compute_api import ComputeApi, boot, message, settle
from tests.support.api.users import PROJECTS

VOLUME = "66666666-6666-4666-8666-666666666666"
OTHER = "77777777-7777-4777-8777-777777777777"
NEVER = "88888888-8888-4888-8888-888888888888"
SNAPSHOT = "99999999-9999-4999-8999-999999999999"
INFO = {"snapshot_id": "s", "type": "qcow2", "new_file": "f"}
ASSISTED = {"snapshot": {"volume_id": VOLUME, "create_info": INFO}}


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.change(volume_types.bootstrap)
    return made


@pytest.fixture
def server(api: ComputeApi) -> str:
    found = boot(api)
    settle(api, found)
    return found


def attach(api: ComputeApi, server: str, *, host: str | None = "h1") -> None:
    api.add(volume_api.volume(VOLUME, status="in-use"), Attachment(
        project_id=PROJECTS["alice"], volume_id=VOLUME, exclusive_id=VOLUME, server_id=server, host=host, status="attached", mountpoint="/dev/vdb"))


def begun(api: ComputeApi, resource_id: str) -> list[str]:
    """The names of the resource's actions."""
    query = sa.select(Action.name).where(Action.resource_id == resource_id)
    return list(api.change(lambda session: session.scalars(query).all()))


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "offset=x", "offset=-1"])
@pytest.mark.parametrize("listed", ["", "/os-volumes", "/os-volumes/detail", "/os-snapshots", "/os-snapshots/detail"])
def test_page_parameters_must_be_numbers(api: ComputeApi, server: str, listed: str, query: str) -> None:
    answer = api.get(f"{listed or f'/servers/{server}/os-volume_attachments'}?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in message(answer)


@pytest.mark.parametrize(("collection", "key"), [("os-volumes", "volumes"), ("os-snapshots", "snapshots")])
def test_another_projects_are_not_seen(api: ComputeApi, collection: str, key: str) -> None:
    api.add(volume_api.volume(VOLUME, user="bob"), volume_api.snapshot(SNAPSHOT, VOLUME, user="bob"))
    one = VOLUME if key == "volumes" else SNAPSHOT
    for listed in (f"/{collection}", f"/{collection}/detail"):
        assert api.get(listed).body == {key: []}
        assert api.get(listed, version="2.36").status == 404
    for answer in (api.get(f"/{collection}/{one}"), api.delete(f"/{collection}/{one}")):
        assert (answer.status, message(answer)) == (404, f"{key[:-1].title()} {one} could not be found.")


def test_a_volume_is_shown_as_nova_shows_it(api: ComputeApi, server: str) -> None:
    attach(api, server)
    shown = api.get(f"/os-volumes/{VOLUME}").body["volume"]
    assert shown["attachments"] == [{"id": VOLUME, "volumeId": VOLUME, "serverId": server, "device": "/dev/vdb"}]
    assert (shown["status"], shown["size"], shown["availabilityZone"], shown["snapshotId"]) == ("in-use", 1, "nova", None)
    assert api.get("/os-volumes/detail").body == {"volumes": [shown]}


def test_the_newest_volumes_come_first_page_by_page(api: ComputeApi) -> None:
    noon = datetime.datetime(2026, 3, 10, 12)
    api.add(volume_api.volume(VOLUME, created_at=noon), volume_api.volume(OTHER, created_at=noon + datetime.timedelta(hours=1)))
    assert [one["id"] for one in api.get("/os-volumes").body["volumes"]] == [OTHER, VOLUME]
    assert [one["id"] for one in api.get("/os-volumes?limit=1&offset=1").body["volumes"]] == [VOLUME]


def test_a_volume_is_made_as_the_block_storage_api_makes_it(api: ComputeApi) -> None:
    made = api.post("/os-volumes", {"volume": {"size": "2", "display_name": "v", "display_description": "d", "metadata": {"a": "b"}}})
    shown = made.body["volume"]
    assert (made.status, shown["status"], shown["size"], shown["displayName"], shown["displayDescription"]) == (200, "creating", 2, "v", "d")
    assert (shown["metadata"], shown["attachments"], shown["volumeType"]) == ({"a": "b"}, [{}], "__DEFAULT__")
    assert shown["availabilityZone"] == "nova"
    assert begun(api, shown["id"]) == ["create_volume"]


def test_a_volume_is_made_from_a_snapshot(api: ComputeApi) -> None:
    api.add(volume_api.volume(VOLUME), volume_api.snapshot(SNAPSHOT, VOLUME))
    made = api.post("/os-volumes", {"volume": {"size": 1, "snapshot_id": SNAPSHOT}}).body["volume"]
    assert made["snapshotId"] == SNAPSHOT
    gone = api.post("/os-volumes", {"volume": {"size": 1, "snapshot_id": NEVER}})
    assert gone.status == 404


def test_a_volume_is_deleted_unless_it_is_attached(api: ComputeApi, server: str) -> None:
    api.add(volume_api.volume(OTHER))
    attach(api, server)
    assert api.delete(f"/os-volumes/{OTHER}").status == 202
    assert (api.get(f"/os-volumes/{OTHER}").body["volume"]["status"], begun(api, OTHER)) == ("deleting", ["delete_volume"])
    refused = api.delete(f"/os-volumes/{VOLUME}")
    assert (refused.status, "in-use" in message(refused)) == (400, True)


def test_a_snapshot_is_made_and_deleted(api: ComputeApi) -> None:
    api.add(volume_api.volume(VOLUME))
    made = api.post("/os-snapshots", {"snapshot": {"volume_id": VOLUME, "display_name": "s"}})
    shown = made.body["snapshot"]
    assert (made.status, shown["status"], shown["volumeId"], shown["size"], shown["displayName"]) == (200, "creating", VOLUME, 1, "s")
    assert begun(api, shown["id"]) == ["create_snapshot"]
    assert api.get(f"/os-snapshots/{shown['id']}").body["snapshot"] == shown
    assert api.get("/os-snapshots").body == {"snapshots": [shown]}
    api.add(volume_api.snapshot(SNAPSHOT, VOLUME))
    assert (api.delete(f"/os-snapshots/{SNAPSHOT}").status, begun(api, SNAPSHOT)) == (202, ["delete_snapshot"])


@pytest.mark.parametrize(("force", "status"), [(None, 400), (False, 400), (True, 200)])
def test_a_volume_in_use_needs_force(api: ComputeApi, server: str, force: bool | None, status: int) -> None:
    attach(api, server)
    more = {} if force is None else {"force": force}
    assert api.post("/os-snapshots", {"snapshot": {"volume_id": VOLUME, **more}}).status == status


@pytest.mark.parametrize(("listed", "body"), [
    ("/os-volumes", {"volume": {"size": 1}}), ("/os-snapshots", {"snapshot": {"volume_id": VOLUME}})])
def test_over_quota_is_403_as_novas_proxies_have_it(api: ComputeApi, listed: str, body: object) -> None:
    api.add(volume_api.volume(VOLUME), volume_api.snapshot(SNAPSHOT, VOLUME))
    api.conf.set_override("quota_volumes", 1)
    api.conf.set_override("quota_snapshots", 1)
    refused = api.post(listed, body)
    assert (refused.status, "quota" in message(refused)) == (403, True)
    assert api.change(lambda session: (session.query(Volume).count(), session.query(VolumeSnapshot).count())) == (1, 1)


@pytest.mark.parametrize(("listed", "body", "wrong", "field"), [
    ("/os-volumes", {"volume": {"size": 1, "display_name": "v"}}, {"volume": {"size": "big"}}, "size"),
    ("/os-volumes", {"volume": {"size": "1"}}, {"volume": {}}, "size"),
    ("/os-volumes", {"volume": {"size": "1"}}, {"volume": {"size": 1, "metadata": {"k": 7}}}, "metadata"),
    ("/os-snapshots", {"snapshot": {"volume_id": VOLUME, "force": True}}, {"snapshot": {"volume_id": VOLUME, "force": 7}}, "force"),
    ("/os-snapshots", {"snapshot": {"volume_id": VOLUME}}, {"snapshot": {"force": False}}, "volume_id")])
def test_bad_input_names_the_field_and_readers_make_nothing(api: ComputeApi, listed: str, body: object, wrong: object, field: str) -> None:
    refused = api.post(listed, wrong)
    assert (refused.status, field in message(refused)) == (400, True)
    assert api.post(listed, body, user="reader").status == 403
    assert api.post(listed, body, version="2.36").status == 404


def test_an_assisted_snapshot_is_accepted_of_an_attached_volume(api: ComputeApi, server: str) -> None:
    attach(api, server)
    made = api.post("/os-assisted-volume-snapshots", ASSISTED, user="service")
    assert (made.status, made.body) == (200, {"snapshot": {"id": "s", "volumeId": VOLUME}})
    assert api.delete(f'/os-assisted-volume-snapshots/s?delete_info={{"volume_id":"{VOLUME}"}}', user="service").status == 204


def test_an_assisted_snapshot_of_a_volume_on_no_host_is_refused(api: ComputeApi, server: str) -> None:
    attach(api, server, host=None)
    made = api.post("/os-assisted-volume-snapshots", ASSISTED, user="service")
    assert (made.status, VOLUME in message(made)) == (400, True)
    assert api.delete(f'/os-assisted-volume-snapshots/s?delete_info={{"volume_id":"{VOLUME}"}}', user="service").status == 404


@pytest.mark.parametrize("query", ["", "?delete_info=", "?delete_info=x", "?delete_info=[]", '?delete_info={"volume_id":1}'])
def test_a_deletion_of_an_assisted_snapshot_names_its_volume(api: ComputeApi, query: str) -> None:
    refused = api.delete(f"/os-assisted-volume-snapshots/s{query}", user="service")
    assert (refused.status, "delete_info" in message(refused)) == (400, True)


def test_assisted_snapshots_are_for_services(api: ComputeApi) -> None:
    wrong = api.post("/os-assisted-volume-snapshots", {"snapshot": {"volume_id": VOLUME, "create_info": INFO | {"type": "raw"}}}, user="service")
    assert (wrong.status, "type" in message(wrong)) == (400, True)
    assert api.delete("/os-assisted-volume-snapshots/s").status == 403
