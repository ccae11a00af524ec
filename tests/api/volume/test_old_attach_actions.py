# SPDX-License-Identifier: Apache-2.0
"""The actions by which clients attached volumes before there were attachments: bookkeeping, and connections of a client's own hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from tests.support.api import volume_api, volume_conductor
from tests.support.api.compute_api import Answer
from tests.support.api.volume_api import VolumeApi, pool, volume
from tests.support.api.volume_conductor import SECRET, Conductor

V1 = "aaaaaaaa-0000-4000-8000-000000000001"
SERVER, OTHER = "dddddddd-0000-4000-8000-000000000001", "dddddddd-0000-4000-8000-000000000002"
ATTACH = {"instance_uuid": SERVER, "mountpoint": "/dev/vdc"}
CONNECTOR = {"host": "node", "ip": "10.0.0.2", "initiator": "iqn.node", "enforce_multipath": True}


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volume V1."""
    made = volume_api.make(tmp_path)
    made.add(pool(reach="network"), volume(V1))
    return made


@pytest.fixture
def conductor(api: VolumeApi) -> Conductor:
    return volume_conductor.attach(api)


def act(api: VolumeApi, name: str, params: Any = None, **more: Any) -> Answer:
    return api.post(f"/volumes/{V1}/action", {name: {} if params is None else params}, version="3.0", **more)


def shown(api: VolumeApi) -> dict[str, Any]:
    return dict(api.get(f"/volumes/{V1}").body["volume"])


def set_volume(api: VolumeApi, **columns: Any) -> None:
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id == V1).values(**columns)))


def test_an_attach_is_noted_and_a_detach_too(api: VolumeApi) -> None:
    assert act(api, "os-attach", ATTACH).status == 202
    (attachment,) = shown(api)["attachments"]
    assert (attachment["server_id"], attachment["device"], attachment["id"], shown(api)["status"]) == (SERVER, "/dev/vdc", V1, "in-use")
    assert shown(api)["metadata"] == {"attached_mode": "rw", "readonly": "False"}
    assert api.delete(f"/volumes/{V1}").status == 400
    assert act(api, "os-detach").status == 202
    assert (shown(api)["attachments"], shown(api)["status"]) == ([], "available")
    assert not api.rpc.sent


@pytest.mark.parametrize("params", [
    {"mountpoint": "/dev/vdc"}, {"instance_uuid": SERVER}, {**ATTACH, "mode": "wr"}, {**ATTACH, "mountpoint": ""}, {**ATTACH, "instance_uuid": "x"}])
def test_an_attach_that_is_wrong_is_refused(api: VolumeApi, params: dict[str, Any]) -> None:
    assert act(api, "os-attach", params).status == 400


def test_a_volume_that_may_only_be_read_is_attached_to_be_read(api: VolumeApi) -> None:
    act(api, "os-update_readonly_flag", {"readonly": True})
    assert act(api, "os-attach", ATTACH).status == 400
    assert act(api, "os-attach", {**ATTACH, "mode": "ro"}).status == 202
    assert shown(api)["metadata"] == {"attached_mode": "ro", "readonly": "True"}


@pytest.mark.parametrize("status", ["in-use", "error", "creating", "deleting", "maintenance", "reserved"])
def test_a_volume_that_is_not_free_is_not_attached(api: VolumeApi, status: str) -> None:
    set_volume(api, status=status)
    assert act(api, "os-attach", ATTACH).status == 400


def test_one_server_has_one_attachment(api: VolumeApi) -> None:
    set_volume(api, multiattach=True)
    assert act(api, "os-attach", ATTACH).status == 202
    assert act(api, "os-attach", ATTACH).status == 400
    assert act(api, "os-attach", {**ATTACH, "instance_uuid": OTHER}).status == 202
    assert act(api, "os-detach").status == 400
    first = next(one["attachment_id"] for one in shown(api)["attachments"] if one["server_id"] == SERVER)
    assert act(api, "os-detach", {"attachment_id": OTHER}).status == 400
    assert act(api, "os-detach", {"attachment_id": first}).status == 202
    assert (shown(api)["status"], len(shown(api)["attachments"])) == ("in-use", 1)


def test_a_reserved_volume_is_attaching_until_it_is_attached_or_not(api: VolumeApi) -> None:
    assert act(api, "os-unreserve").status == 202
    assert act(api, "os-reserve").status == 202
    assert shown(api)["status"] == "attaching"
    assert act(api, "os-reserve").status == 400
    assert act(api, "os-unreserve").status == 202
    assert shown(api)["status"] == "available"
    act(api, "os-reserve")
    assert act(api, "os-attach", ATTACH).status == 202
    assert shown(api)["status"] == "in-use"


def test_a_detach_is_begun_and_rolled_back(api: VolumeApi) -> None:
    assert act(api, "os-begin_detaching").status == 400
    assert act(api, "os-roll_detaching").status == 202
    act(api, "os-attach", ATTACH)
    assert act(api, "os-begin_detaching").status == 202
    assert shown(api)["status"] == "detaching"
    assert (act(api, "os-begin_detaching").status, api.delete(f"/volumes/{V1}").status) == (400, 400)
    assert act(api, "os-roll_detaching").status == 202
    assert shown(api)["status"] == "in-use"
    act(api, "os-begin_detaching")
    assert act(api, "os-detach").status == 202
    assert shown(api)["status"] == "available"


def test_unreserve_does_not_free_a_volume_that_is_being_attached(api: VolumeApi) -> None:
    """What is attached is in the attachments: no word of a client makes a volume available to others."""
    api.post("/attachments", {"attachment": {"volume_uuid": V1, "instance_uuid": SERVER}})
    set_volume(api, status="attaching")
    assert act(api, "os-unreserve").status == 202
    assert shown(api)["status"] == "reserved"


def test_a_forced_detach_is_an_administrators(api: VolumeApi) -> None:
    act(api, "os-attach", ATTACH)
    attachment_id = shown(api)["attachments"][0]["attachment_id"]
    act(api, "os-reset_status", {"status": "error"}, user="admin")
    assert act(api, "os-force_detach", {"attachment_id": attachment_id}).status == 403
    assert act(api, "os-force_detach", {"attachment_id": OTHER}, user="admin").status == 400
    assert act(api, "os-force_detach", {"connector": None, "attachment_id": attachment_id}, user="admin").status == 202
    assert (shown(api)["status"], shown(api)["attachments"]) == ("available", [])


def test_only_an_administrator_ends_the_error_of_a_volume_that_is_in_a_pool(api: VolumeApi) -> None:
    set_volume(api, status="error")
    assert act(api, "os-detach").status == 202
    assert shown(api)["status"] == "error"
    assert act(api, "os-force_detach", user="admin").status == 202
    assert shown(api)["status"] == "available"
    set_volume(api, status="error", host=None)
    assert act(api, "os-force_detach", user="admin").status == 202
    assert shown(api)["status"] == "error"


def test_a_volume_whose_detach_failed_is_not_free(api: VolumeApi) -> None:
    """It may be exported to the host still, which would have what its next owner writes."""
    act(api, "os-attach", ATTACH)
    api.change(lambda session: session.execute(sa.update(Attachment).values(status="error_detaching")))
    set_volume(api, status="detaching")
    assert act(api, "os-roll_detaching").status == 202
    assert shown(api)["status"] == "detaching"
    set_volume(api, status="available")
    offer = api.post("/volume-transfers", {"transfer": {"volume_id": V1}}, version="3.55")
    assert (offer.status, "is attached" in str(offer.body)) == (400, True)


def test_a_clients_host_is_connected_noted_and_let_go(api: VolumeApi, conductor: Conductor) -> None:
    """As Terraform does it."""
    answer = act(api, "os-initialize_connection", {"connector": CONNECTOR})
    info = answer.body["connection_info"]
    assert (answer.status, info["driver_volume_type"], info["data"]["auth_password"], info["enforce_multipath"]) == (200, "iscsi", SECRET, True)
    assert act(api, "os-attach", {"host_name": "node", "mountpoint": "/dev/sdb"}).status == 202
    (attachment,) = shown(api)["attachments"]
    assert (attachment["server_id"], attachment["device"], shown(api)["status"]) == (None, "/dev/sdb", "in-use")
    assert act(api, "os-initialize_connection", {"connector": CONNECTOR}).body == answer.body
    assert act(api, "os-terminate_connection", {"connector": CONNECTOR}).status == 202
    assert act(api, "os-detach", {"attachment_id": attachment["attachment_id"]}).status == 202
    assert (shown(api)["status"], shown(api)["attachments"]) == ("available", [])
    assert conductor.names == ["export_attachment", "delete_attachment"]


def test_a_connection_that_was_not_noted_is_terminated(api: VolumeApi, conductor: Conductor) -> None:
    act(api, "os-reserve")
    assert act(api, "os-initialize_connection", {"connector": CONNECTOR}).status == 200
    assert act(api, "os-initialize_connection", {"connector": {"host": "other"}}).status == 400
    assert act(api, "os-terminate_connection", {"connector": {"host": "other"}}).status == 202
    assert shown(api)["status"] == "attaching"
    assert act(api, "os-terminate_connection", {"connector": CONNECTOR}).status == 202
    assert shown(api)["status"] == "available"
    assert act(api, "os-terminate_connection", {"connector": None}).status == 202


def test_a_connection_that_fails_is_reported(api: VolumeApi, conductor: Conductor) -> None:
    conductor.reason = "no target"
    assert act(api, "os-initialize_connection", {"connector": CONNECTOR}).status == 500
    assert act(api, "os-initialize_connection", {"connector": {"ip": "x"}}).status == 400


@pytest.mark.parametrize(("name", "params"), [
    ("os-attach", ATTACH), ("os-detach", {}), ("os-reserve", {}), ("os-unreserve", {}), ("os-begin_detaching", {}), ("os-roll_detaching", {}),
    ("os-initialize_connection", {"connector": CONNECTOR}), ("os-terminate_connection", {"connector": None})])
def test_another_project_finds_no_such_volume(api: VolumeApi, name: str, params: dict[str, Any]) -> None:
    assert act(api, name, params, user="bob").status == 404
    assert act(api, name, params, user="reader").status == 403
