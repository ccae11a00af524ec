# SPDX-License-Identifier: Apache-2.0
"""Attachments, as clients and compute services request them, and what nobody may do to those of running servers (OSSA-2023-003)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.conductor.steps import volume_host
from nova_lite.db.compute.servers import Server
from nova_lite.db.volume import attachments
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volumes import Volume
from tests.support.api import compute_api, volume_api, volume_conductor
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, message, pool, volume
from tests.support.api.volume_conductor import SECRET, Conductor

V1, V2 = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
CLIENTS = "dddddddd-0000-4000-8000-000000000001"  # an id that means something to the client alone
CONNECTOR = {"host": "node", "ip": "10.0.0.2", "initiator": "iqn.node", "mountpoint": "/dev/vdb"}


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volumes V1, and V2 for several servers, in a pool that all hosts reach."""
    made = volume_api.make(tmp_path)
    made.add(pool(reach="network"), volume(V1), volume(V2, multiattach=True))
    return made


@pytest.fixture
def conductor(api: VolumeApi) -> Conductor:
    return volume_conductor.attach(api)


@pytest.fixture
def server_id(api: VolumeApi) -> str:
    """A server of alice's that is active."""
    return boot(api, "alice")


def boot(api: VolumeApi, user: str, **columns: Any) -> str:
    compute = compute_api.ComputeApi(api.database, api.conf)
    if not api.change(lambda session: session.scalar(sa.text("SELECT count(*) FROM flavors"))):
        compute_api.furnish(compute)
    made = compute_api.boot(compute, user=user, version="2.37", networks="none")
    compute_api.settle(compute, made, **columns)
    api.change(lambda session: session.execute(sa.text("UPDATE actions SET state = 'done'")))
    return made


def create(api: VolumeApi, volume_id: str = V1, *, user: str = "alice", at: str = "3.71", **fields: Any) -> Answer:
    return api.post("/attachments", {"attachment": {"volume_uuid": volume_id, **fields}}, user=user, version=at)


def made(api: VolumeApi, volume_id: str = V1, **fields: Any) -> str:
    answer = create(api, volume_id, **fields)
    assert answer.status == 200, answer.body
    return str(answer.body["attachment"]["id"])


def status_of(api: VolumeApi, volume_id: str = V1) -> str:
    return str(api.get(f"/volumes/{volume_id}").body["volume"]["status"])


def test_a_volume_goes_through_reserve_connect_complete_and_end(api: VolumeApi, conductor: Conductor) -> None:
    answer = create(api, instance_uuid=CLIENTS, at="3.27")
    reserved = answer.body["attachment"]
    assert (answer.status, reserved["status"], reserved["instance"], reserved["connection_info"]) == (200, "reserved", CLIENTS, {})
    assert reserved.keys() == {"id", "status", "instance", "volume_id", "attached_at", "detached_at", "attach_mode", "connection_info"}
    assert status_of(api) == "reserved"
    path = f"/attachments/{reserved['id']}"
    connected = api.put(path, {"attachment": {"connector": CONNECTOR}}).body["attachment"]
    assert (connected["status"], connected["connection_info"]["driver_volume_type"]) == ("attaching", "iscsi")
    assert (connected["connection_info"]["auth_password"], connected["connection_info"]["attachment_id"]) == (SECRET, reserved["id"])
    assert status_of(api) == "attaching"
    assert api.post(f"{path}/action", {"os-complete": {}}, version="3.43").status == 404
    assert api.post(f"{path}/action", {"os-complete": {}}).status == 204
    (shown,) = api.get(f"/volumes/{V1}").body["volume"]["attachments"]
    assert (shown["server_id"], shown["device"], status_of(api)) == (CLIENTS, "/dev/vdb", "in-use")
    assert api.delete(path).body == {"attachments": []}
    assert (status_of(api), api.get(path).status) == ("available", 404)
    assert conductor.names == ["export_attachment", "delete_attachment"]


def test_a_host_is_connected_at_once(api: VolumeApi, conductor: Conductor) -> None:
    attachment = create(api, connector=CONNECTOR, mode="ro").body["attachment"]
    assert (attachment["status"], attachment["instance"], attachment["attach_mode"]) == ("attaching", None, "ro")
    assert attachment["connection_info"]["access_mode"] == "ro"
    again = api.put(f"/attachments/{attachment['id']}", {"attachment": {"connector": CONNECTOR}})
    assert (again.status, again.body["attachment"]["connection_info"]["target_iqn"]) == (200, "iqn.x")
    other = api.put(f"/attachments/{attachment['id']}", {"attachment": {"connector": {"host": "other"}}})
    assert other.status == 409


def test_the_mode_comes_with_3_54(api: VolumeApi) -> None:
    assert create(api, mode="ro", at="3.53").status == 400
    assert create(api, mode="wr").status == 400
    assert create(api, at="3.26").status == 404
    api.change(lambda session: session.execute(sa.update(Volume).values(is_read_only=True)))
    assert create(api, mode="rw").body["attachment"]["attach_mode"] == "ro"


def test_two_servers_do_not_get_one_volume(api: VolumeApi) -> None:
    made(api, instance_uuid=CLIENTS)
    for other in (V2, CLIENTS):
        assert create(api, instance_uuid=other).status == 400
    assert api.delete(f"/volumes/{V1}").status == 400


def test_a_volume_of_several_servers_has_an_attachment_for_each(api: VolumeApi) -> None:
    first, second = made(api, V2, instance_uuid=CLIENTS), made(api, V2, instance_uuid=V1)
    assert create(api, V2, instance_uuid=CLIENTS).status == 400
    api.post(f"/attachments/{first}/action", {"os-complete": {}})
    assert status_of(api, V2) == "in-use"
    assert [one["id"] for one in api.delete(f"/attachments/{second}").body["attachments"]] == [first]
    assert status_of(api, V2) == "in-use"


def test_a_volume_has_only_so_many_attachments(api: VolumeApi) -> None:
    api.add(*(Attachment(project_id=PROJECTS["alice"], volume_id=V2) for _ in range(attachments.MAX_OF_VOLUME)))
    answer = create(api, V2)
    assert (answer.status, "maximum" in message(answer)) == (400, True)


@pytest.mark.parametrize("status", ["error", "error_extending", "creating", "deleting", "in-use", "extending", "maintenance"])
def test_a_volume_that_is_not_free_is_not_reserved(api: VolumeApi, status: str) -> None:
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id == V1).values(status=status)))
    assert create(api, instance_uuid=CLIENTS).status == 400
    assert status_of(api) == status


@pytest.mark.parametrize("connector", [{}, {"ip": "10.0.0.2"}, {"host": ""}, {"host": 1}, {"host": "x" * 256}, {"host": "n", "x": "y" * 9000},
                                       {"host": "n", "mode": "x"}, None, "x", {str(n): n for n in range(33)}])
def test_a_connector_without_a_host_or_with_too_much_is_refused(api: VolumeApi, connector: object) -> None:
    attachment_id = made(api)
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": connector}}).status == 400


def test_a_host_that_does_not_reach_the_pool_is_refused(api: VolumeApi, conductor: Conductor) -> None:
    api.change(lambda session: session.execute(sa.text("UPDATE volume_pools SET reach = 'host'")))
    attachment_id = made(api)
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}}).status == 400
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": {"host": "h1"}}}).status == 200


def test_an_export_that_fails_says_why_and_may_be_repeated(api: VolumeApi, conductor: Conductor) -> None:
    conductor.reason = "host h1: could not export: no space"
    attachment_id = made(api)
    answer = api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}})
    assert (answer.status, "no space" in message(answer)) == (500, True)
    conductor.reason = None
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}}).status == 200


def test_an_attachment_that_is_being_connected_is_not_connected_twice(api: VolumeApi) -> None:
    attachment_id = made(api)
    api.change(lambda session: volume_actions(session, attachment_id))
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}}).status == 409


def volume_actions(session: Any, attachment_id: str) -> None:
    from nova_lite.db.compute import actions

    actions.begin(session, (actions.ATTACHMENT, attachment_id), "export_attachment", actions.Requester("req", "alice", PROJECTS["alice"]))


def test_volumes_in_error_are_not_connected(api: VolumeApi) -> None:
    attachment_id = made(api)
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id == V1).values(status="error")))
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}}).status == 409


def test_secrets_of_connections_are_shown_to_administrators_and_services_only(api: VolumeApi, conductor: Conductor) -> None:
    attachment_id = made(api, connector=CONNECTOR)
    for path in (f"/attachments/{attachment_id}", "/attachments/detail"):
        assert SECRET not in str(api.get(path).body)
        assert SECRET in str(api.get(path, user="nova").body)
    assert SECRET in str(api.get("/attachments/detail?all_tenants=1", user="admin").body)
    assert SECRET not in str(api.get("/attachments/detail?all_tenants=1").body)
    row = api.change(lambda session: session.get(Attachment, attachment_id))
    assert SECRET not in row.connection_info


@pytest.mark.parametrize(("query", "count"), [
    ("", 2), (f"volume_id={V1}", 1), (f"instance_id={CLIENTS}", 1), ("status=reserved", 2), ("attach_status=attached", 0), ("limit=1", 1),
    ("offset=1", 1)])
def test_lists_are_filtered(api: VolumeApi, query: str, count: int) -> None:
    made(api, instance_uuid=CLIENTS)
    made(api, V2)
    assert len(api.get(f"/attachments?{query}").body["attachments"]) == count
    assert len(api.get(f"/attachments/detail?{query}").body["attachments"]) == count
    assert api.get("/attachments?host=x").status == 400
    assert api.get("/attachments", user="bob").body == {"attachments": []}


def test_another_projects_attachment_is_not_found(api: VolumeApi) -> None:
    attachment_id = made(api)
    for method, path, body in (
        ("GET", "", None), ("PUT", "", {"attachment": {"connector": CONNECTOR}}), ("DELETE", "", None), ("POST", "/action", {"os-complete": {}}),
    ):
        assert api.request(method, f"/attachments/{attachment_id}{path}", body, user="bob").status == 404, (method, path)
    assert create(api, V2, user="bob").status == 404


def test_nobody_puts_a_volume_into_another_projects_server(api: VolumeApi) -> None:
    bobs = boot(api, "bob")
    assert create(api, instance_uuid=bobs).status == 404
    assert api.post(f"/volumes/{V1}/action", {"os-attach": {"instance_uuid": bobs, "mountpoint": "/dev/vdb"}}).status == 404
    assert status_of(api) == "available"


ENDS: list[tuple[str, str, Any]] = [("DELETE", "/attachments/{attachment}", None), ("POST", "/volumes/{volume}/action", {"os-detach": {}}),
        ("POST", "/volumes/{volume}/action", {"os-detach": {"attachment_id": "{attachment}"}}),
        ("POST", "/volumes/{volume}/action", {"os-terminate_connection": {"connector": {}}}),
        ("POST", "/volumes/{volume}/action", {"os-force_detach": {"attachment_id": "{attachment}"}})]


def end(api: VolumeApi, attachment_id: str, way: tuple[str, str, Any], **more: Any) -> Answer:
    method, path, body = way
    filled = None if body is None else {name: {key: attachment_id if value == "{attachment}" else value for key, value in params.items()}
                                        for name, params in body.items()}
    return api.request(method, path.format(attachment=attachment_id, volume=V1), filled, **more)


def attached(api: VolumeApi, server_id: str, **columns: Any) -> str:
    """The attachment by which the server has V1."""
    values = {"status": "attached", "connection_info": "sealed", "connector": {"host": "h1"}, "host": "h1", "boot_index": -1, **columns}
    row = Attachment(project_id=PROJECTS["alice"], volume_id=V1, exclusive_id=V1, server_id=server_id, mountpoint="/dev/vdb", **values)
    api.add(row)
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id == V1).values(status="in-use")))
    return row.id


@pytest.mark.parametrize("way", ENDS, ids=[next(iter(body)) if body else method for method, _, body in ENDS])
def test_no_user_takes_a_volume_from_a_running_server(api: VolumeApi, server_id: str, way: tuple[str, str, Any]) -> None:
    """Neither its owner nor an administrator, and not with a service's token that the request only claims to have."""
    attachment_id = attached(api, server_id)
    api.server_environ["HTTP_X_SERVICE_TOKEN"] = "faked"
    api.server_environ["HTTP_X_SERVICE_ROLES"] = "service"
    for user in ("alice", "admin"):
        if user == "alice" and "os-force_detach" in str(way):
            continue
        answer = end(api, attachment_id, way, user=user)
        assert (answer.status, list(answer.body)) == (409, ["conflictingRequest"]), answer.body
    assert api.change(lambda session: session.get_one(Attachment, attachment_id).status) == "attached"
    assert status_of(api) == "in-use"


def test_a_service_ends_an_attachment_of_a_server(api: VolumeApi, conductor: Conductor, server_id: str) -> None:
    attachment_id = attached(api, server_id)
    assert end(api, attachment_id, ENDS[0], user="nova").status == 200
    assert (status_of(api), conductor.names) == ("available", ["delete_attachment"])


def test_an_attachment_of_a_server_that_is_gone_is_ended(api: VolumeApi, conductor: Conductor) -> None:
    attachment_id = attached(api, CLIENTS)
    assert end(api, attachment_id, ENDS[1]).status == 202
    assert status_of(api) == "available"


@pytest.mark.parametrize("columns", [{"boot_index": 0}, {}])
def test_what_a_server_boots_from_or_is_just_getting_is_left_alone(api: VolumeApi, server_id: str, columns: dict[str, Any]) -> None:
    attachment_id = attached(api, server_id, **{"connection_info": None, "connector": None, "status": "reserved", **columns})
    if not columns:
        api.change(lambda session: session.execute(sa.update(Server).values(task_state="spawning")))
    assert end(api, attachment_id, ENDS[0]).status == 409


def test_a_reservation_of_a_server_that_nothing_came_of_is_ended_by_its_owner(api: VolumeApi, server_id: str) -> None:
    """Reserved for ever, with no attachment that users could see: here it is one, and goes."""
    attachment_id = made(api, instance_uuid=server_id)
    assert api.change(lambda session: session.scalar(sa.select(Server.has_volumes).where(Server.id == server_id))) is True
    assert end(api, attachment_id, ENDS[0]).body == {"attachments": []}
    assert status_of(api) == "available"


def test_the_compute_api_alone_connects_volumes_to_servers(api: VolumeApi, conductor: Conductor, server_id: str) -> None:
    assert create(api, instance_uuid=server_id, connector=CONNECTOR).status == 409
    assert status_of(api) == "available"
    attachment_id = made(api, instance_uuid=server_id)
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}}).status == 409
    assert api.post(f"/attachments/{attachment_id}/action", {"os-complete": {}}).status == 409
    assert api.put(f"/attachments/{attachment_id}", {"attachment": {"connector": CONNECTOR}}, user="nova").status == 200


def test_what_a_build_is_yet_to_make_is_no_attachment(api: VolumeApi, server_id: str) -> None:
    row = Attachment(project_id=PROJECTS["alice"], server_id=server_id, source="image", boot_index=0)
    api.add(row)
    assert api.get("/attachments").body == {"attachments": []}
    assert (api.get(f"/attachments/{row.id}").status, api.delete(f"/attachments/{row.id}").status) == (404, 404)


def test_no_worker_hears_of_the_servers_and_hosts_that_clients_name(api: VolumeApi, conductor: Conductor, server_id: str) -> None:
    """Extensions, snapshots and backups change the guest that has the volume."""
    attachment_id = made(api, instance_uuid=CLIENTS, connector={**CONNECTOR, "host": "no-such-host"})
    assert api.change(lambda session: volume_host.guest_of(session, V1)) is None
    api.change(lambda session: session.execute(sa.update(Attachment).where(Attachment.id == attachment_id).values(server_id=server_id)))
    found = api.change(lambda session: volume_host.guest_of(session, V1))
    assert found is not None
    assert found.id == attachment_id
