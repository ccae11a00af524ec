# SPDX-License-Identifier: Apache-2.0
"""Notifications as a consumer on the bus gets them: names, order, envelope; nothing when they are off."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from kombu.transport import memory

from nova_lite import errors
from nova_lite.db.changes import KEY
from nova_lite.db.compute import actions
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.lifecycle.servers import ACTIONS
from nova_lite.notifications import emitter
from nova_lite.notifications.names import KINDS, kind_of
from nova_lite.runtime import failpoints
from tests.support.flows import volume_scenarios as storage
from tests.support.flows.notified import Consumer, configure
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.options import defaults

MEMORY = "kombu+memory:////"


@pytest.fixture
def consumer(cloud: OneProcess) -> Iterator[Consumer]:
    # One for the whole process: other tests' exchanges of the same name are of another kind.
    memory.Transport.global_state.clear()
    configure(cloud.conf, MEMORY)
    made = Consumer(cloud.conf)
    emitting = emitter.attach(cloud.conf, cloud.database, binary="nova-conductor")
    assert emitting is not None
    yield made
    emitting.stop()
    made.stop()


def test_a_server_is_notified_from_its_build_to_its_end(cloud: OneProcess, consumer: Consumer) -> None:
    with cloud.database.writer() as session:
        session.add(Keypair(user_id=CTXT.user_id, name="mine", type="ssh", fingerprint="aa:bb", public_key="ssh-rsa AAAA"))
    server_id, action_id = cloud.create_server(name="notified", metadata_items={"a": "b"}, key_name="mine")
    cloud.run(action_id)
    heard = consumer.take(2)
    cloud.run(cloud.begin_delete(server_id))
    heard += consumer.take(2)
    assert [(priority, event) for priority, event, _ in heard] == [
        ("INFO", "instance.create.start"), ("INFO", "instance.create.end"),
        ("INFO", "instance.delete.start"), ("INFO", "instance.delete.end")]
    created = heard[1][2]
    assert (created["nova_object.name"], created["nova_object.namespace"], created["nova_object.version"]) == (
        "InstanceCreatePayload", "nova", "1.12")
    data = created["nova_object.data"]
    assert (data["uuid"], data["state"], data["task_state"], data["power_state"]) == (server_id, "active", None, "running")
    assert (data["display_name"], data["metadata"], data["fault"]) == ("notified", {"a": "b"}, None)
    assert (data["action_initiator_user"], data["request_id"]) == (CTXT.user_id, CTXT.request_id)
    assert data["flavor"]["nova_object.data"]["memory_mb"] == 128
    [address] = [found["nova_object.data"] for found in data["ip_addresses"]]
    assert (address["label"], address["version"]) == ("net", 4)
    [keypair] = data["keypairs"]
    assert (keypair["nova_object.name"], keypair["nova_object.data"]) == ("KeypairPayload", {
        "user_id": CTXT.user_id, "name": "mine", "type": "ssh", "fingerprint": "aa:bb", "public_key": "ssh-rsa AAAA"})
    assert heard[3][2]["nova_object.data"]["deleted_at"]


def test_a_failure_is_notified_as_an_error_with_its_reason(cloud: OneProcess, consumer: Consumer) -> None:
    _, action_id = cloud.create_server(vcpus=10**6)
    cloud.run(action_id)
    _, (priority, event, payload) = consumer.take(2)
    assert (priority, event) == ("ERROR", "instance.create.error")
    fault = payload["nova_object.data"]["fault"]
    assert fault["nova_object.name"] == "ExceptionPayload"
    assert "No valid host" in fault["nova_object.data"]["exception_message"]


def test_an_action_of_one_host_is_notified_when_its_worker_reports(cloud: OneProcess, consumer: Consumer) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.do(server_id, "stop")
    failpoints.arm("reboot.before=error")
    cloud.do(server_id, "reboot_hard")
    heard = consumer.take(6)[2:]
    assert sorted(event for _, event, _ in heard) == [
        "instance.power_off.end", "instance.power_off.start", "instance.reboot.error", "instance.reboot.start"]


def test_an_instant_action_is_notified_once(cloud: OneProcess, consumer: Consumer) -> None:
    server_id, _ = cloud.create_server()
    with cloud.database.writer() as session:
        actions.add(session, server_id=server_id, name="lock", request_id="req-1", user_id="u", project_id="p", state=actions.DONE)
    assert [event for _, event, _ in consumer.take(2)] == ["instance.create.start", "instance.lock"]


def test_what_is_rolled_back_is_not_notified(cloud: OneProcess, consumer: Consumer) -> None:
    server_id, _ = cloud.create_server()
    with pytest.raises(errors.Conflict), cloud.database.writer() as session:
        actions.add(session, server_id=server_id, name="lock", request_id="req-1", user_id="u", project_id="p")
        raise errors.Conflict(reason="no")
    with cloud.database.writer() as session:
        actions.add(session, server_id=server_id, name="unlock", request_id="req-1", user_id="u", project_id="p", state=actions.DONE)
    assert [event for _, event, _ in consumer.take(2)] == ["instance.create.start", "instance.unlock"]


def test_a_broken_broker_harms_nobody(cloud: OneProcess) -> None:
    configure(cloud.conf, "rabbit://nobody:wrong@127.0.0.1:1/")
    cloud.conf.set_override("retry", 0, group="oslo_messaging_notifications")
    emitting = emitter.attach(cloud.conf, cloud.database, binary="nova-conductor")
    assert emitting is not None
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    emitting.stop(within_s=0.1)


@pytest.mark.parametrize(("form", "driver"), [("unversioned", ["messagingv2"]), ("versioned", []), ("both", ["noop"])])
def test_off_keeps_and_starts_nothing(cloud: OneProcess, form: str, driver: list[str]) -> None:
    configure(cloud.conf, MEMORY)
    cloud.conf.set_override("notification_format", form, group="notifications")
    cloud.conf.set_override("driver", driver, group="oslo_messaging_notifications")
    before = threading.active_count()
    assert emitter.attach(cloud.conf, cloud.database, binary="nova-conductor") is None
    with cloud.database.writer() as session:
        assert KEY not in session.info
    assert threading.active_count() == before


def test_off_is_the_default() -> None:
    conf = defaults()
    emitter.register(conf)
    assert (conf.notifications.notification_format, conf.oslo_messaging_notifications.driver) == ("unversioned", [])


def test_every_name_is_of_an_action() -> None:
    assert set(KINDS) <= {*ACTIONS, "extend_volume"}  # the growth of a server's volume, which is no action of its own state
    kinds = [kind for name in ACTIONS if (kind := kind_of(name)) is not None]
    assert all(kind.event and kind.payload.startswith("Instance") for kind in kinds)


def test_an_action_that_a_delete_ends_is_notified_as_an_error(cloud: OneProcess, consumer: Consumer) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.begin_action(server_id, "pause")
    cloud.run(cloud.begin_delete(server_id))
    heard = consumer.take(6)[2:]
    assert sorted(event for _, event, _ in heard) == [
        "instance.delete.end", "instance.delete.start", "instance.pause.error", "instance.pause.start"]
    [(priority, payload)] = [(priority, payload) for priority, event, payload in heard if event == "instance.pause.error"]
    fault = payload["nova_object.data"]["fault"]["nova_object.data"]
    assert (priority, fault["exception_message"]) == ("ERROR", "The server was deleted.")


def test_volumes_are_notified_in_cinders_names(cloud: OneProcess, consumer: Consumer) -> None:
    volume_id = storage.made(cloud, name="data", metadata_items={"a": "b"})
    heard = consumer.take(2)
    cloud.run(storage.begin_on(cloud, volume_id, "delete_volume", is_cascade=False))
    heard += consumer.take(2)
    assert [(priority, event) for priority, event, _ in heard] == [
        ("INFO", "volume.create.start"), ("INFO", "volume.create.end"), ("INFO", "volume.delete.start"), ("INFO", "volume.delete.end")]
    made, gone = heard[1][2], heard[3][2]
    assert (made["volume_id"], made["display_name"], made["status"], made["host"], made["size"], made["metadata"]) == (
        volume_id, "data", "available", storage.POOL, 2, {"a": "b"})
    assert (gone["volume_id"], gone["tenant_id"], gone["status"]) == (volume_id, CTXT.project_id, "deleted")


def test_an_attach_is_notified_by_both_services(cloud: OneProcess, consumer: Consumer) -> None:
    server_id = storage.active(cloud)
    volume_id = storage.made(cloud)
    consumer.take(4)
    attachment_id = storage.reserve(cloud, server_id, volume_id)
    cloud.run(cloud.begin_action(server_id, "attach_volume", inputs={"attachment_id": attachment_id}))
    heard = {event: payload for _, event, payload in consumer.take(4)}
    assert set(heard) == {f"{name}.{phase}" for name in ("instance.volume_attach", "volume.attach") for phase in ("start", "end")}
    assert heard["instance.volume_attach.end"]["nova_object.data"]["volume_id"] == volume_id
    [attached] = heard["volume.attach.end"]["volume_attachment"]
    assert (attached["id"], attached["instance_uuid"], attached["attach_status"]) == (attachment_id, server_id, "attached")


def test_a_volume_that_cannot_be_made_is_notified_as_an_error(cloud: OneProcess, consumer: Consumer) -> None:
    volume_id = storage.add_volume(cloud, size_gb=10**7)
    cloud.run(storage.begin(cloud, (actions.VOLUME, volume_id), "create_volume", source="blank"))
    _, (priority, event, payload) = consumer.take(2)
    assert (priority, event, payload["volume_id"]) == ("ERROR", "volume.create.error", volume_id)
    assert "not enough capacity" in payload["reason"]


def test_a_snapshot_is_notified(cloud: OneProcess, consumer: Consumer) -> None:
    snapshot_id, action_id = storage.begin_snapshot(cloud, storage.made(cloud))
    cloud.run(action_id)
    heard = consumer.take(4)[2:]
    assert [event for _, event, _ in heard] == ["snapshot.create.start", "snapshot.create.end"]
    assert (heard[1][2]["snapshot_id"], heard[1][2]["status"], heard[1][2]["volume_size"]) == (snapshot_id, "available", 2)
