# SPDX-License-Identifier: Apache-2.0
"""Notifications over RabbitMQ."""

from __future__ import annotations

from pathlib import Path

from nova_lite.notifications import emitter
from tests.support.flows.notified import Consumer, configure
from tests.support.flows.one_process import OneProcess
from tests.support.system.daemons import shared_broker


def test_a_consumer_on_rabbitmq_hears_of_a_build_and_a_delete(tmp_path: Path) -> None:
    cloud = OneProcess(tmp_path)
    configure(cloud.conf, shared_broker().create_vhost("notifications"))
    consumer = Consumer(cloud.conf)
    emitting = emitter.attach(cloud.conf, cloud.database, binary="nova-conductor")
    assert emitting is not None
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.run(cloud.begin_delete(server_id))
    heard = consumer.take(4)
    emitting.stop()
    consumer.stop()
    assert [event for _, event, _ in heard] == [
        "instance.create.start", "instance.create.end", "instance.delete.start", "instance.delete.end"]
    assert {payload["nova_object.data"]["uuid"] for _, _, payload in heard} == {server_id}
